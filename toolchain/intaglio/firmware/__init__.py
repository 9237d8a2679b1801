"""The parts of a build, one file each: the glue between application and model, the compiler, the linker script, what is
in an ELF file, what fits a board. build.py shows the sequence."""
