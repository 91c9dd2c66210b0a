//! Makes the interpreter's version known to `cfg`, for the few places where layouts differ.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
