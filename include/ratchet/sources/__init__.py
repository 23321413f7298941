"""Sources of reviews: files, archives, S3, Kaggle, synthetic reviews. The job `ingest` stores them."""
