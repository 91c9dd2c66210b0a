//! The code that all vectors of x86 have in common.

/// Defines the token of an instruction set, and functions that are compiled for it.
macro_rules! token {
    ($(#[$doc:meta])* $token:ident, $number:ty, $features:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $token(());

        /// Runs a kernel as a function of its own.
        ///
        /// `inline(never)` is on this function because rustc 1.95 ignores it on `run`, which has
        /// target features.
        ///
        /// # Safety
        /// The processor has the instruction set.
        #[inline(never)]
        unsafe fn call_outlined<K: Kernel<$number>>(kernel: K) -> K::Output {
            // SAFETY: the caller's promise.
            unsafe { run(kernel) }
        }

        #[target_feature(enable = $features)]
        fn run<K: Kernel<$number>>(kernel: K) -> K::Output {
            kernel.run($token(()))
        }
    };
}

/// Defines methods that are one instruction.
macro_rules! instructions {
    ($vector:ty: $($name:ident($($arg:ident),*) = $instruction:ident;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $vector),*) -> $vector {
            // SAFETY: the token is the proof that the processor has the instruction.
            unsafe { $instruction($($arg),*) }
        }
    )*};
}

/// Defines `new`, `call_outlined`, `prefetch`, and the methods that broadcast, load and store whole
/// vectors.
macro_rules! moves {
    ($number:ty, $vector:ty, $splat:ident, $load:ident, $store:ident) => {
        #[inline(always)]
        unsafe fn new() -> Self {
            Self(())
        }

        #[inline(always)]
        fn call_outlined<K: Kernel<$number>>(self, kernel: K) -> K::Output {
            // SAFETY: the token is the proof that the processor has the instructions.
            unsafe { call_outlined(kernel) }
        }

        #[inline(always)]
        fn splat(self, x: $number) -> $vector {
            // SAFETY: the token is the proof that the processor has the instruction.
            unsafe { $splat(x) }
        }

        #[inline(always)]
        unsafe fn load(self, from: *const $number) -> $vector {
            // SAFETY: the token, and the caller's promise.
            unsafe { $load(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut $number, x: $vector) {
            // SAFETY: the token, and the caller's promise.
            unsafe { $store(to, x) }
        }

        #[inline(always)]
        fn prefetch(self, at: *const $number) {
            // SAFETY: a prefetch may be given any address.
            unsafe {
                core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T1 }>(at.cast());
            }
        }
    };
}
pub(super) use {instructions, moves, token};
