"""The word-level tokenizer of the pocket language, in BERT's and in RoBERTa's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from stabilitybench.language.lexicon import words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Style = Literal["bert", "roberta"]

#: Longest input in tokens, special ones included; the longest pair of the language has 56.
MAX_LENGTH = 64

#: Special tokens by role, in the order of their ids: RoBERTa's position numbers rely on its padding having id 1.
SPECIAL: dict[Style, dict[str, str]] = {
    "bert": {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"},
    "roberta": {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"},
}


def vocabulary(style: Style) -> dict[str, int]:
    """Return the id of every token: the special ones first, then the words of the language.

    Parameters
    ----------
    style : {"bert", "roberta"}
        Whose special tokens are taken.

    Returns
    -------
    dict of str to int
        Ids from 0 without gaps, in the order of the entries.

    Examples
    --------
    >>> vocabulary("roberta")["<pad>"], vocabulary("bert")["the"]
    (1, 5)
    """
    return {token: i for i, token in enumerate((*SPECIAL[style].values(), *words()))}


def special_id(style: Style, role: str) -> int:
    """Return the id of a special token.

    Parameters
    ----------
    style : {"bert", "roberta"}
        Whose special tokens are meant.
    role : {"pad", "unk", "cls", "sep", "mask"}
        What the token does.

    Returns
    -------
    int
        Its id in `vocabulary`.

    Examples
    --------
    >>> special_id("bert", "pad"), special_id("roberta", "pad")
    (0, 1)
    """
    return list(SPECIAL[style]).index(role)


def build_tokenizer(style: Style) -> PreTrainedTokenizerFast:
    """Return a `transformers` tokenizer: one token per word, lower case, unknown words become the unknown token.

    "bert" writes ``[CLS] A [SEP] B [SEP]`` with token types 0 and 1, "roberta" ``<s> A </s></s> B </s>``.  The folder
    that ``save_pretrained`` writes is read back by ``AutoTokenizer.from_pretrained`` without a network.

    Parameters
    ----------
    style : {"bert", "roberta"}
        Whose special tokens and layout of pairs are taken.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        A tokenizer for inputs of up to `MAX_LENGTH` tokens.

    Examples
    --------
    >>> tokenizer = build_tokenizer("bert")
    >>> tokenizer.decode(tokenizer("the dog is kind", "a cat")["input_ids"])
    '[CLS] the dog is kind [SEP] a cat [SEP]'
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    ids, role = vocabulary(style), SPECIAL[style]
    tokenizer = Tokenizer(WordLevel(ids, unk_token=role["unk"]))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    pair = "{cls} $A {sep} $B:1 {sep}:1" if style == "bert" else "{cls} $A {sep} {sep} $B {sep}"
    tokenizer.post_processor = TemplateProcessing(
        single="{cls} $A {sep}".format(**role),
        pair=pair.format(**role),
        special_tokens=[(role[name], ids[role[name]]) for name in ("cls", "sep")],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"] if style == "bert" else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=MAX_LENGTH,
        model_input_names=names,
        clean_up_tokenization_spaces=False,
        **{f"{name}_token": token for name, token in role.items()},
    )
