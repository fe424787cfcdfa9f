"""The data set: pictures and captions on disk, buckets, and the steps that follow from them. Torch-free."""
