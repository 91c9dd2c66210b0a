//! The vector program: instructions over slots; a slot holds a number for each example.

use super::graph::Guard;
use crate::autograd::op::Op;

/// The place of a number that an instruction reads: an index into the memory of the instruction's
/// own section or, with the highest bit set, into that of the uniform section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

const OUTER: u32 = 1 << 31;

impl Slot {
    /// The number of slots that a section can have.
    pub const MOST: usize = OUTER as usize;

    /// Returns a slot of the instruction's own section.
    ///
    /// # Panics
    /// If there are more than [`Slot::MOST`].
    #[must_use]
    pub fn own(index: u32) -> Slot {
        assert!(index < OUTER, "too many slots");
        Slot(index)
    }

    /// Returns a slot of the uniform section, for an instruction of the varying one.
    ///
    /// # Panics
    /// If there are more than [`Slot::MOST`].
    #[must_use]
    pub fn outer(index: u32) -> Slot {
        assert!(index < OUTER, "too many slots");
        Slot(index | OUTER)
    }

    /// Returns true for a slot of the uniform section that an instruction of the varying one reads.
    #[inline]
    #[must_use]
    pub fn is_outer(self) -> bool {
        self.0 & OUTER != 0
    }

    /// Returns the index within its section.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        (self.0 & !OUTER) as usize
    }
}

/// Numbers that an instruction reads one after the other, all of one section.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Slots that follow each other.
    Range {
        /// the first
        slot: Slot,
        /// how many
        len: u32,
    },
    /// One slot, several times.
    Repeat {
        /// the slot
        slot: Slot,
        /// how many times
        len: u32,
    },
    /// Slots in any order.
    Gather {
        /// true if they are slots of the uniform section, read by the varying one
        outer: bool,
        /// their indices
        indices: Vec<u32>,
    },
}

impl Part {
    /// Returns the number of numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Part::Range { len, .. } | Part::Repeat { len, .. } => *len as usize,
            Part::Gather { indices, .. } => indices.len(),
        }
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns true if they are slots of the uniform section, read by the varying one.
    #[must_use]
    pub fn is_outer(&self) -> bool {
        match self {
            Part::Range { slot, .. } | Part::Repeat { slot, .. } => slot.is_outer(),
            Part::Gather { outer, .. } => *outer,
        }
    }
}

/// The numbers that an instruction reads, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operand {
    /// Their places.
    pub parts: Vec<Part>,
    /// True if the gradient of a parameter depends on that of one of them.
    pub active: bool,
}

/// The fewest slots that are a range or a repeat of their own. Fewer are copied as fast by a gather.
const SHORTEST: u32 = 8;

impl Operand {
    /// Returns the operand of these slots.
    pub fn new(slots: impl IntoIterator<Item = Slot>, active: bool) -> Operand {
        let mut runs: Vec<(Slot, u32, bool)> = Vec::new();
        for slot in slots {
            if let Some((first, len, repeats)) = runs.last_mut() {
                let follows = first.0.checked_add(*len) == Some(slot.0);
                if follows && !*repeats {
                    *len += 1;
                    continue;
                }
                if slot == *first && (*repeats || *len == 1) {
                    (*repeats, *len) = (true, *len + 1);
                    continue;
                }
            }
            runs.push((slot, 1, false));
        }
        let alone = runs.len() == 1;
        let mut parts: Vec<Part> = Vec::new();
        for (slot, len, repeats) in runs {
            if alone || len >= SHORTEST {
                let range = Part::Range { slot, len };
                parts.push(if repeats { Part::Repeat { slot, len } } else { range });
                continue;
            }
            let first = slot.index() as u32;
            let own = (0..len).map(|i| if repeats { first } else { first + i });
            match parts.last_mut() {
                Some(Part::Gather { outer, indices }) if *outer == slot.is_outer() => {
                    indices.extend(own);
                }
                _ => parts.push(Part::Gather { outer: slot.is_outer(), indices: own.collect() }),
            }
        }
        Operand { parts, active }
    }

    /// Returns the number of numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// Returns true if it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the bytes of its lists.
    fn bytes(&self) -> usize {
        let of = |part: &Part| match part {
            Part::Gather { indices, .. } => size_of_val(indices.as_slice()),
            _ => 0,
        };
        size_of_val(self.parts.as_slice()) + self.parts.iter().map(of).sum::<usize>()
    }
}

/// A step of a program: one operation on many numbers. Results go to slots that follow each other.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    /// The operands themselves, without their gradients.
    Copy {
        /// what is copied
        x: Operand,
        /// the first result
        out: u32,
    },
    /// f(x)
    Unary {
        /// f
        op: Op,
        /// x
        x: Operand,
        /// the first result
        out: u32,
        /// where df/dx is kept, for functions whose derivative takes more than one operation
        slope: u32,
    },
    /// f(x, y)
    Binary {
        /// f
        op: Op,
        /// x
        x: Operand,
        /// y
        y: Operand,
        /// the first result
        out: u32,
        /// where the derivatives of powers are kept: df/dx, then df/dy
        slope: u32,
    },
    /// Σ x·y, or Σ x without y. Operands lie term by term: term k of the first `counts[k]` sums, the
    /// longest of which come first.
    Dots {
        /// the number of sums that have a term k
        counts: Vec<u32>,
        /// x
        x: Operand,
        /// y
        y: Option<Operand>,
        /// the first result
        out: u32,
    },
    /// The largest number of each list; it has no gradient. Lists lie as the terms of `Dots` do.
    Highest {
        /// the number of lists that have an item k
        counts: Vec<u32>,
        /// the numbers
        x: Operand,
        /// the first result
        out: u32,
    },
    /// A·X + b; A is (`rows`, `inner`), X (`inner`, `cols`), both row by row, and so are the
    /// results; b has a number for each row.
    MatMul {
        /// A, the same for all examples
        a: Operand,
        /// X
        x: Operand,
        /// b, the same for all examples
        bias: Option<Box<Operand>>,
        /// the first result
        out: u32,
        /// rows of A
        rows: u32,
        /// columns of A
        inner: u32,
        /// columns of X
        cols: u32,
    },
    /// For each index, the number at that position of `choices` numbers.
    Select {
        /// the choices of each result, one result after the other
        from: Vec<Slot>,
        /// how many choices each has
        choices: u32,
        /// the indices
        index: Operand,
        /// the first result
        out: u32,
        /// True if the gradient of a parameter depends on that of a choice.
        active: bool,
    },
}

/// Instructions that are executed once for all examples, or once for each block of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// The instructions, in order.
    pub instructions: Vec<Instruction>,
    /// The number of slots.
    pub slots: u32,
    /// The number of derivatives that are kept for the backward pass.
    pub slopes: u32,
}

/// A program that computes an output and its gradient for many examples at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The parameter in each of the first slots of the uniform section.
    pub order: Vec<u32>,
    /// The constants, in the slots after them.
    pub constants: Vec<f64>,
    /// The number of inputs of an example, which are in the first slots of the varying section.
    pub inputs: usize,
    /// The instructions that do not depend on the example.
    pub uniform: Section,
    /// Those that do.
    pub varying: Section,
    /// The place of the output, seen from the varying section.
    pub output: Slot,
    /// The guards, with the slots that they compare.
    pub guards: Vec<(Guard, Slot, Slot)>,
}

impl Program {
    /// Returns the number of bytes that the program takes, without the numbers that it computes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let instructions = self.uniform.instructions.iter().chain(&self.varying.instructions);
        instructions
            .map(|instruction| size_of::<Instruction>() + instruction.bytes())
            .sum::<usize>()
            + size_of_val(self.order.as_slice())
            + size_of_val(self.constants.as_slice())
            + size_of_val(self.guards.as_slice())
    }

    /// Returns true if an op may fail for an example: a division, a power, an index.
    #[must_use]
    pub fn can_fail(&self) -> bool {
        use Op::{Div, Exp, Log, Pow, PowFloat, Sqrt};
        self.uniform.instructions.iter().chain(&self.varying.instructions).any(|instruction| {
            match instruction {
                Instruction::Unary { op, .. } | Instruction::Binary { op, .. } => {
                    matches!(op, Div | Exp | Log | Sqrt | Pow | PowFloat)
                }
                Instruction::Select { .. } => true,
                _ => false,
            }
        })
    }
}

impl Instruction {
    /// Returns the name that is shown to users.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Instruction::Copy { .. } => "copy",
            Instruction::Unary { op, .. } | Instruction::Binary { op, .. } => op.name(),
            Instruction::Dots { y: Some(_), .. } => "dot",
            Instruction::Dots { y: None, .. } => "sum",
            Instruction::Highest { .. } => "highest",
            Instruction::MatMul { .. } => "matmul",
            Instruction::Select { .. } => "select",
        }
    }

    /// Returns rows, inner and columns of a product of matrices.
    #[must_use]
    pub fn shape(&self) -> Option<(u32, u32, u32)> {
        match *self {
            Instruction::MatMul { rows, inner, cols, .. } => Some((rows, inner, cols)),
            _ => None,
        }
    }

    /// Returns the bytes of its lists.
    fn bytes(&self) -> usize {
        let of = Operand::bytes;
        match self {
            Instruction::Copy { x, .. } | Instruction::Unary { x, .. } => of(x),
            Instruction::Binary { x, y, .. } => of(x) + of(y),
            Instruction::Dots { counts, x, y, .. } => {
                size_of_val(counts.as_slice()) + of(x) + y.as_ref().map_or(0, of)
            }
            Instruction::Highest { counts, x, .. } => size_of_val(counts.as_slice()) + of(x),
            Instruction::MatMul { a, x, bias, .. } => {
                of(a) + of(x) + bias.as_deref().map_or(0, |bias| size_of::<Operand>() + of(bias))
            }
            Instruction::Select { from, index, .. } => size_of_val(from.as_slice()) + of(index),
        }
    }

    /// Returns the slot of the first result.
    #[must_use]
    pub fn out(&self) -> u32 {
        match *self {
            Instruction::Copy { out, .. }
            | Instruction::Unary { out, .. }
            | Instruction::Binary { out, .. }
            | Instruction::Dots { out, .. }
            | Instruction::Highest { out, .. }
            | Instruction::MatMul { out, .. }
            | Instruction::Select { out, .. } => out,
        }
    }

    /// Returns the number of results.
    #[must_use]
    pub fn results(&self) -> usize {
        match self {
            Instruction::Copy { x, .. }
            | Instruction::Unary { x, .. }
            | Instruction::Binary { x, .. } => x.len(),
            Instruction::Dots { counts, .. } | Instruction::Highest { counts, .. } => {
                counts[0] as usize
            }
            Instruction::MatMul { rows, cols, .. } => *rows as usize * *cols as usize,
            Instruction::Select { index, .. } => index.len(),
        }
    }
}
