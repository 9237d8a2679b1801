"""Kernels for cores with the DSP extension: runtime_c/kernels/dsp."""
