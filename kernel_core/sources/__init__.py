"""A name, folder, Parquet file or Hub id → images, labels and files; `source.toml`."""
