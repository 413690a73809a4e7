"""Hyperparameters of each method, for a matrix of 12 x 16, and of a ramp that begins at once."""

METHODS = {
    "low rank": "compression_option=1,rank=300",
    "simhash": "compression_option=2,rank=50",
    "dictionary": "compression_option=3,rank=200",
    "k-means": "compression_option=4,rank=8,block_size=2",
    "compositional": "compression_option=5,num_codebooks=2,num_codewords=4",
    "pruning": "compression_option=8,rank=8,pruning_fraction=0.5",
    "input-output": "compression_option=9,input_compression_factor=2,input_block_size=4,"
    "compress_output=True,output_compression_factor=2,output_block_size=4",
}
NOW = "begin_compression_step=1,compression_frequency=1,alpha_decrement_value=0.25"
