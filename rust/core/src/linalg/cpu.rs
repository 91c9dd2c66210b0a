//! Which instructions are used: the best that the processor has, or those that a variable names.

use std::sync::OnceLock;

use super::float::Float;
use super::simd::Simd;
use crate::{Error, Result};

/// The environment variable that chooses: `portable`, `avx2` or `avx512`.
pub const VARIABLE: &str = "FASTGRAD_CPU";

/// A set of instructions that the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(Set);

/// The sets there are kernels for, from the slowest to the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Set {
    fn name(self) -> &'static str {
        match self {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }
}

impl Cpu {
    /// What this process uses, read from the environment at the first call.
    ///
    /// # Errors
    /// [`Error::Cpu`] where [`VARIABLE`] names none that this processor has.
    pub fn chosen() -> Result<Cpu> {
        static CHOSEN: OnceLock<Result<Cpu>> = OnceLock::new();
        CHOSEN.get_or_init(|| Cpu::choose(std::env::var_os(VARIABLE))).clone()
    }

    /// The set of a name, or the best where there is no name.
    fn choose(name: Option<std::ffi::OsString>) -> Result<Cpu> {
        let available = Cpu::available();
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return available.last().copied().ok_or(Error::Memory);
        };
        let name = name.to_string_lossy().into_owned();
        let found = available.iter().find(|cpu| cpu.name() == name).copied();
        found.ok_or_else(|| Error::Cpu {
            name,
            available: available.iter().map(|cpu| cpu.name()).collect(),
        })
    }

    /// All that this processor has, the best one last.
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

    /// The name that [`VARIABLE`] knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Runs a kernel, compiled for this set of instructions.
    pub(super) fn run<T: Float, K: Kernel<T>>(self, kernel: K) -> K::Output {
        match self.0 {
            Set::Portable => kernel.run(T::Portable::default()),
            // SAFETY: a Cpu of this set is made only where the features were detected.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2(kernel) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512(kernel) },
        }
    }
}

/// A loop over numbers that is compiled for every set of instructions.
///
/// `run` must be `#[inline(always)]`, as must be what it calls with its token: only then are they
/// compiled with the instructions that the token stands for.
pub trait Kernel<T: Float> {
    /// What the kernel gives back.
    type Output;
    /// The work.
    fn run<S: Simd<T = T>>(self, simd: S) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T: Float, K: Kernel<T>>(kernel: K) -> K::Output {
    // SAFETY: this function has the features.
    kernel.run(unsafe { T::avx2() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn avx512<T: Float, K: Kernel<T>>(kernel: K) -> K::Output {
    // SAFETY: this function has the features.
    kernel.run(unsafe { T::avx512() })
}

/// Runs a kernel as a function of its own, compiled for a processor with AVX2 and FMA.
///
/// It is this one that must not be inlined: rustc 1.95 forgets `inline(never)` on functions with
/// features.
///
/// # Safety
/// The processor has them.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
pub(super) unsafe fn apart_avx2<T: Float, K: Kernel<T>>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { avx2(kernel) }
}

/// Runs a kernel as a function of its own, compiled for a processor with AVX-512F.
///
/// # Safety
/// The processor has it.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
pub(super) unsafe fn apart_avx512<T: Float, K: Kernel<T>>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { avx512(kernel) }
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
