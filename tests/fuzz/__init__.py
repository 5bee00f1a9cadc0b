"""Every parser of outside input, fed by a fuzzer: only an error with a code may come out."""
