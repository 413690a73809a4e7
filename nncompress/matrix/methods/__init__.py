"""Methods of compressing a matrix, each with its compressor and the factors that it makes."""
