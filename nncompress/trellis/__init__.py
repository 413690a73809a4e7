"""The residual stage: trellis coding of what additive codes leave, or of whole rows."""
