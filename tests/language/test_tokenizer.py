from itertools import islice

import numpy as np
import pytest
from transformers import AutoTokenizer

from stabilitybench.language.corpus import passage
from stabilitybench.language.lexicon import words
from stabilitybench.language.sampler import Dice
from stabilitybench.language.tokenizer import MAX_LENGTH, build_tokenizer, vocabulary


@pytest.fixture(params=["bert", "roberta"])
def style(request):
    return request.param


@pytest.fixture
def read_back(style, tmp_path):
    build_tokenizer(style).save_pretrained(tmp_path)
    return AutoTokenizer.from_pretrained(tmp_path)


def test_read_back_from_its_folder_it_is_the_same_tokenizer(style, read_back):
    fresh = build_tokenizer(style)
    dice = Dice(np.random.default_rng(0))
    for item in islice(iter(lambda: passage(dice), None), 200):
        assert dict(read_back(item.first, item.second)) == dict(fresh(item.first, item.second))
    assert read_back.get_vocab() == vocabulary(style)
    assert read_back.model_max_length == MAX_LENGTH


def test_no_word_of_the_language_is_unknown_and_other_words_are(style, read_back):
    ids = read_back(" ".join(words()), add_special_tokens=False)["input_ids"]
    assert read_back.unk_token_id not in ids
    assert len(set(ids)) == len(words())
    assert read_back("the quark", add_special_tokens=False)["input_ids"][1] == read_back.unk_token_id
    assert read_back("The DOG")["input_ids"] == read_back("the dog")["input_ids"]


def test_templates_are_those_of_bert_and_roberta(style, read_back):
    read = read_back("the dog is kind", "a cat")
    tokens = " ".join(read_back.convert_ids_to_tokens(read["input_ids"]))
    if style == "bert":
        assert tokens == "[CLS] the dog is kind [SEP] a cat [SEP]"
        assert read["token_type_ids"] == [0] * 6 + [1] * 3
    else:
        assert tokens == "<s> the dog is kind </s> </s> a cat </s>"
        assert "token_type_ids" not in read
        assert read_back.pad_token_id == 1


def test_padding_masking_and_truncation_work_as_transformers_expects(read_back):
    batch = read_back(["the dog is kind", "a cat " * 60], padding=True, truncation=True, return_tensors="np")
    assert batch["input_ids"].shape == (2, MAX_LENGTH)
    assert batch["attention_mask"][0].sum() == 6
    assert read_back.mask_token_id is not None
