"""The parts of the `screened` strategy: features, Gaussian processes, what is modelled, what a candidate is worth.

Pure numpy and scipy; everything is a function of a history's facts and of the generator that is passed.
"""
