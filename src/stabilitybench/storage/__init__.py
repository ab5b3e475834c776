"""Storage: records that are whole or absent, work pools, and the TOML files that users write."""
