//! Chooses an instruction set: the best that the processor has, or the one that an environment
//! variable names.

use std::ffi::OsString;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
#[cfg(target_arch = "x86_64")]
use super::avx512_double::Avx512Double;
use super::portable::{Portable32, Portable64};
use super::simd::{Float, Kernel, Simd};
use crate::{Error, Result};

/// The environment variable that chooses: `portable`, `avx2` or `avx512`.
pub const VARIABLE: &str = "FASTGRAD_CPU";

/// An instruction set that the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(Set);

/// The instruction sets with kernels, from the slowest to the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Cpu {
    /// Returns the instruction set that this process uses. It is chosen at the first call, by
    /// [`VARIABLE`] if that is set.
    ///
    /// # Errors
    /// [`Error::Cpu`] where [`VARIABLE`] names none that this processor has.
    pub fn chosen() -> Result<Cpu> {
        static CHOSEN: OnceLock<Result<Cpu>> = OnceLock::new();
        CHOSEN.get_or_init(|| Cpu::choose(std::env::var_os(VARIABLE))).clone()
    }

    /// Returns the instruction set of a name, or the best one without a name.
    fn choose(name: Option<OsString>) -> Result<Cpu> {
        let available = Cpu::available();
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(available[available.len() - 1]);
        };
        let name = name.to_string_lossy().into_owned();
        let found = available.iter().find(|cpu| cpu.name() == name).copied();
        found.ok_or_else(|| Error::Cpu {
            name,
            available: available.iter().map(|cpu| cpu.name()).collect(),
        })
    }

    /// Returns all instruction sets that this processor has, the best one last.
    #[must_use]
    pub fn available() -> Vec<Cpu> {
        let mut sets = vec![Cpu(Set::Portable)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            sets.push(Cpu(Set::Avx2));
            if is_x86_feature_detected!("avx512f") {
                sets.push(Cpu(Set::Avx512));
            }
        }
        sets
    }

    /// Returns the name that [`VARIABLE`] knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// Runs a kernel, compiled for this instruction set.
    pub(super) fn run<T: Dispatch, K: Kernel<T>>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: any processor has the portable instructions.
            Set::Portable => kernel.run(unsafe { T::Portable::new() }),
            // SAFETY: a Cpu of this set is made only where the features were detected.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { run_avx2(kernel) },
            // SAFETY: as for AVX2.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { run_avx512(kernel) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<T: Dispatch, K: Kernel<T>>(kernel: K) -> K::Output {
    // SAFETY: this function has the features.
    kernel.run(unsafe { T::Avx2::new() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn run_avx512<T: Dispatch, K: Kernel<T>>(kernel: K) -> K::Output {
    // SAFETY: this function has the features.
    kernel.run(unsafe { T::Avx512::new() })
}

/// A number type, and its vectors on each instruction set.
pub trait Dispatch: Float {
    #[doc(hidden)]
    type Portable: Simd<T = Self>;
    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    type Avx2: Simd<T = Self>;
    #[doc(hidden)]
    #[cfg(target_arch = "x86_64")]
    type Avx512: Simd<T = Self>;
}

impl Dispatch for f32 {
    type Portable = Portable32;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = Avx2;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = Avx512;
}

/// With AVX2 doubles use the portable vectors, which `run_avx2` compiles for its features.
impl Dispatch for f64 {
    type Portable = Portable64;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = Portable64;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = Avx512Double;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn names_choose() {
        for cpu in Cpu::available() {
            assert_eq!(Cpu::choose(Some(cpu.name().into())).unwrap(), cpu);
        }
        assert_eq!(Cpu::choose(None).unwrap(), *Cpu::available().last().unwrap());
        assert_eq!(Cpu::choose(Some("".into())), Cpu::choose(None));
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = Cpu::choose(Some("sse9".into())).unwrap_err().to_string();
        assert!(error.starts_with("FASTGRAD_CPU is \"sse9\"; expected one of portable"), "{error}");
    }
}
