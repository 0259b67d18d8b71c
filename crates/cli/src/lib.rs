//! The verbs of the command line besides serve.
