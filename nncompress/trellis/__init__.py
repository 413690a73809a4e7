"""The residual stage: coding by a trellis what additive codes leave, or whole rows."""
