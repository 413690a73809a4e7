"""Methods of compressing a matrix, each with its compressor and its factors."""
