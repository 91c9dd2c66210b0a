//! Re-rolls a tape: nodes of the same op at the same depth become one vector instruction.
//!
//! ```text
//! depth of a node   1 + the largest depth of its operands; parameters, inputs, constants: 0
//! group             nodes of one section, depth and op, ordered by where an operand is
//! sums of products  those over the same second factors are the rows of one matrix; columns with
//!                   the same rows make one product of matrices, A·X
//! ```
//! What depends on no input is computed once for all examples (the uniform section), the rest once
//! for each block of examples (the varying section). A group's results lie one after the other, so
//! that the next instruction mostly reads them in order; where it does not, it gathers them.

use rustc_hash::FxHashMap;

use super::graph::{Id, Node, Tape};
use super::program::{Instruction, Operand, Program, Section, Slot};
use crate::autograd::op::Op;
use crate::{Result, alloc};

/// The fewest multiplications that are done as a product of matrices, where they are done once, and
/// where they are done for each example.
const SMALLEST_PRODUCTS: [usize; 2] = [32, 4];

/// Schedules a tape; without `matrices`, sums of products stay apart.
///
/// # Errors
/// [`crate::Error::Memory`].
pub fn schedule(tape: &Tape, matrices: bool) -> Result<Program> {
    let mut groups = Groups::of(tape)?;
    let mut constants = Vec::new();
    for (id, &node) in tape.nodes.iter().enumerate() {
        match node {
            Node::Param(i) | Node::Input(i) => groups.slots[id] = i,
            Node::Const(number) => {
                groups.slots[id] = index(tape.params + constants.len());
                constants.push(number);
            }
            _ => {}
        }
    }
    let uniform = groups.section(tape, false, tape.params + constants.len(), matrices)?;
    let varying = groups.section(tape, true, tape.inputs, matrices)?;
    let slot = |id: Id| groups.slot(id, true);
    let guards = tape.guards.iter().map(|&guard| (guard, slot(guard.x), slot(guard.y)));
    Ok(Program {
        params: tape.params,
        inputs: tape.inputs,
        output: slot(tape.output),
        guards: alloc::collected(guards)?,
        constants,
        uniform,
        varying,
    })
}

/// Converts a number of slots, which [`Slot`] bounds.
fn index(n: usize) -> u32 {
    assert!(n < Slot::MOST, "too many slots");
    n as u32
}

/// The op that the nodes of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Copy,
    Unary(u8),
    Binary(u8),
    Dot,
    Highest,
    /// The number of choices.
    Select(usize),
}

fn kind(tape: &Tape, node: Node) -> Option<Kind> {
    Some(match node {
        Node::Const(_) | Node::Param(_) | Node::Input(_) => return None,
        Node::Detach(_) => Kind::Copy,
        Node::Unary(op, _) => Kind::Unary(op as u8),
        // Shown differently, computed alike.
        Node::Binary(Op::PowInt | Op::PowFloat, ..) => Kind::Binary(Op::PowFloat as u8),
        Node::Binary(op, ..) => Kind::Binary(op as u8),
        Node::Dot { .. } => Kind::Dot,
        Node::Highest { .. } => Kind::Highest,
        Node::Select { list, .. } => Kind::Select(tape.lists[list as usize].len()),
    })
}

/// Nodes by depth and kind, and where their numbers lie.
struct Groups {
    /// True for each node that depends on an input.
    varying: Vec<bool>,
    /// True for each node whose gradient reaches a parameter.
    active: Vec<bool>,
    /// The groups of the uniform section and of the varying one, in order.
    in_order: [Vec<Vec<Id>>; 2],
    /// The slot of each node that has one, within its section.
    slots: Vec<u32>,
}

impl Groups {
    fn of(tape: &Tape) -> Result<Groups> {
        let n = tape.nodes.len();
        let (mut varying, mut active) = (alloc::filled(false, n)?, alloc::filled(false, n)?);
        let mut depths = alloc::filled(0_u32, n)?;
        let mut known: FxHashMap<(bool, u32, Kind), Vec<Id>> = FxHashMap::default();
        let mut order = Vec::new();
        for (id, &node) in tape.nodes.iter().enumerate() {
            varying[id] = matches!(node, Node::Input(_));
            active[id] = matches!(node, Node::Param(_));
            let Some(kind) = kind(tape, node) else { continue };
            let (mut is_varying, mut is_active) = (false, false);
            tape.each_operand(node, |x| {
                is_varying |= varying[x as usize];
                is_active |= active[x as usize];
            });
            let mut depth = 0;
            tape.each_operand(node, |x| {
                if varying[x as usize] == is_varying {
                    depth = depth.max(depths[x as usize]);
                }
            });
            (varying[id], active[id], depths[id]) =
                (is_varying, is_active && !matches!(kind, Kind::Copy | Kind::Highest), depth + 1);
            let key = (is_varying, depth + 1, kind);
            let group = known.entry(key).or_insert_with(|| {
                order.push(key);
                Vec::new()
            });
            group.push(id as Id);
        }
        // Within a depth, in the order of first appearance.
        order.sort_by_key(|&(_, depth, _)| depth);
        let mut in_order = [Vec::new(), Vec::new()];
        for key in order {
            in_order[usize::from(key.0)].extend(known.remove(&key));
        }
        Ok(Groups { varying, active, in_order, slots: alloc::filled(u32::MAX, n)? })
    }

    /// Returns the slot of a node, seen from a section.
    fn slot(&self, id: Id, from_varying: bool) -> Slot {
        let index = self.slots[id as usize];
        if from_varying && !self.varying[id as usize] {
            Slot::outer(index)
        } else {
            Slot::own(index)
        }
    }

    fn operand(&self, ids: impl IntoIterator<Item = Id> + Clone, varying: bool) -> Operand {
        let active = ids.clone().into_iter().any(|id| self.active[id as usize]);
        Operand::new(ids.into_iter().map(|id| self.slot(id, varying)), active)
    }

    fn section(
        &mut self,
        tape: &Tape,
        varying: bool,
        given: usize,
        matrices: bool,
    ) -> Result<Section> {
        let mut section = Section { slots: index(given), ..Section::default() };
        for mut group in std::mem::take(&mut self.in_order[usize::from(varying)]) {
            let first = tape.nodes[group[0] as usize];
            if let Node::Dot { .. } = first {
                if matrices {
                    group = self.products(tape, &group, varying, &mut section)?;
                }
                // Short sums first, so that their loops are predictable.
                group.sort_by_key(|&id| pairs_of(tape, id).len());
            } else {
                self.sort_by_operand(tape, &mut group);
            }
            if group.is_empty() {
                continue;
            }
            let out = self.place(&group, &mut section);
            let instruction = self.elementwise(tape, &group, varying, out, &mut section.slopes);
            section.instructions.push(instruction);
        }
        Ok(section)
    }

    /// Sorts a group by where its operands lie: by the first or the second, whichever is less often
    /// the same number, so that it is read in order.
    fn sort_by_operand(&self, tape: &Tape, group: &mut [Id]) {
        let slot = |id: Id, second: bool| self.slots[operand_of(tape, id, second) as usize];
        let distinct = |second: bool| {
            let mut slots: Vec<u32> = group.iter().map(|&id| slot(id, second)).collect();
            slots.sort_unstable();
            slots.dedup();
            slots.len()
        };
        let second = distinct(true) > distinct(false);
        group.sort_by_key(|&id| (slot(id, second), slot(id, !second)));
    }

    /// Gives the nodes of a group slots, one after the other; returns the first.
    fn place(&mut self, ids: &[Id], section: &mut Section) -> u32 {
        let out = section.slots;
        for (&id, slot) in ids.iter().zip(out..) {
            self.slots[id as usize] = slot;
        }
        section.slots = index(out as usize + ids.len());
        out
    }

    /// Makes the instruction of a group that is not a product of matrices.
    fn elementwise(
        &self,
        tape: &Tape,
        group: &[Id],
        varying: bool,
        out: u32,
        slopes: &mut u32,
    ) -> Instruction {
        let operand = |of: &dyn Fn(Node) -> Id| {
            let ids: Vec<Id> = group.iter().map(|&id| of(tape.nodes[id as usize])).collect();
            self.operand(ids, varying)
        };
        let mut kept = |each: usize| {
            let first = *slopes;
            *slopes = index(first as usize + each * group.len());
            first
        };
        let first = operand(&|node| match node {
            Node::Detach(x) | Node::Unary(_, x) | Node::Binary(_, x, _) => x,
            Node::Select { index, .. } => index,
            _ => 0,
        });
        match tape.nodes[group[0] as usize] {
            Node::Detach(_) => Instruction::Copy { x: first, out },
            Node::Unary(op, _) => {
                let slope = if keeps_slope(op) { kept(1) } else { 0 };
                Instruction::Unary { op, x: first, out, slope }
            }
            Node::Binary(op, ..) => {
                let op = if op == Op::PowInt { Op::PowFloat } else { op };
                let y = operand(&|node| match node {
                    Node::Binary(_, _, y) => y,
                    _ => 0,
                });
                let slope = match op {
                    Op::PowFloat => kept(1),
                    Op::Pow => kept(2),
                    _ => 0,
                };
                Instruction::Binary { op, x: first, y, out, slope }
            }
            Node::Select { list, .. } => {
                let choices = index(tape.lists[list as usize].len());
                let mut from = Vec::new();
                let mut active = false;
                for &id in group {
                    if let Node::Select { list, .. } = tape.nodes[id as usize] {
                        for &choice in &tape.lists[list as usize] {
                            from.push(self.slot(choice, varying));
                            active |= self.active[choice as usize];
                        }
                    }
                }
                Instruction::Select { from, choices, index: first, out, active }
            }
            Node::Highest { .. } => {
                let (mut starts, mut xs) = (vec![0], Vec::new());
                for &id in group {
                    if let Node::Highest { list } = tape.nodes[id as usize] {
                        xs.extend_from_slice(&tape.lists[list as usize]);
                    }
                    starts.push(index(xs.len()));
                }
                Instruction::Highest { starts, x: self.operand(xs, varying), out }
            }
            Node::Dot { .. } => {
                let (mut starts, mut xs, mut ys) = (vec![0], Vec::new(), Vec::new());
                for &id in group {
                    for &(x, y) in pairs_of(tape, id) {
                        xs.push(x);
                        ys.push(y);
                    }
                    starts.push(index(xs.len()));
                }
                let is_one = |id: &Id| tape.nodes[*id as usize] == Node::Const(1.0);
                let y = (!ys.iter().all(is_one)).then(|| self.operand(ys, varying));
                Instruction::Dots { starts, x: self.operand(xs, varying), y, out }
            }
            Node::Const(_) | Node::Param(_) | Node::Input(_) => {
                unreachable!("they are not computed")
            }
        }
    }

    /// Makes products of matrices of the sums that have factors in common; returns the others.
    fn products(
        &mut self,
        tape: &Tape,
        group: &[Id],
        varying: bool,
        section: &mut Section,
    ) -> Result<Vec<Id>> {
        // The first factors of a sum are a row, the second ones a column.
        let mut rows = Lists::default();
        let mut columns = Lists::default();
        let mut others = Vec::new();
        // For each column, its rows with their nodes.
        let mut of_column: Vec<Vec<(u32, Id)>> = Vec::new();
        for &id in group {
            let pairs = pairs_of(tape, id);
            if varying && pairs.iter().any(|&(x, _)| self.varying[x as usize]) {
                others.push(id);
                continue;
            }
            let row = rows.number(pairs.iter().map(|&(x, _)| x).collect());
            let column = columns.number(pairs.iter().map(|&(_, y)| y).collect());
            if column as usize == of_column.len() {
                of_column.push(Vec::new());
            }
            of_column[column as usize].push((row, id));
        }
        // Columns with the same rows make one matrix.
        let mut matrices = Lists::default();
        let mut of_matrix: Vec<Vec<u32>> = Vec::new();
        for (column, members) in (0..).zip(&of_column) {
            let matrix = matrices.number(members.iter().map(|&(row, _)| row).collect());
            if matrix as usize == of_matrix.len() {
                of_matrix.push(Vec::new());
            }
            of_matrix[matrix as usize].push(column);
        }
        for (matrix_rows, matrix_columns) in matrices.lists.iter().zip(&of_matrix) {
            let inner = rows.lists[matrix_rows[0] as usize].len();
            let (height, width) = (matrix_rows.len(), matrix_columns.len());
            let cells = (0..height).flat_map(|row| matrix_columns.iter().map(move |&c| (c, row)));
            let nodes = cells.map(|(c, row)| of_column[c as usize][row].1);
            let nodes = gathered(height * width, nodes)?;
            if height * width * inner < SMALLEST_PRODUCTS[usize::from(varying)] {
                others.extend(nodes);
                continue;
            }
            let (rows, columns) = (&rows, &columns);
            let row = |&r: &u32| rows.lists[r as usize].iter().copied();
            let a = gathered(height * inner, matrix_rows.iter().flat_map(row))?;
            let column =
                |k: usize| matrix_columns.iter().map(move |&c| columns.lists[c as usize][k]);
            let x = gathered(inner * width, (0..inner).flat_map(column))?;
            let (a, x) = (self.operand(a, varying), self.operand(x, varying));
            let out = self.place(&nodes, section);
            section.instructions.push(Instruction::MatMul {
                a,
                x,
                out,
                rows: index(height),
                inner: index(inner),
                cols: index(width),
            });
        }
        Ok(others)
    }
}

/// Collects items of a known number.
fn gathered(length: usize, items: impl Iterator<Item = Id>) -> Result<Vec<Id>> {
    let mut gathered = alloc::with_capacity(length)?;
    gathered.extend(items);
    Ok(gathered)
}

/// Returns true for functions whose derivative the op table computes together with the value.
fn keeps_slope(op: Op) -> bool {
    matches!(op, Op::Tanh | Op::Sigmoid | Op::Sin | Op::Cos)
}

fn pairs_of(tape: &Tape, id: Id) -> &[(Id, Id)] {
    match tape.nodes[id as usize] {
        Node::Dot { pairs } => &tape.pairs[pairs as usize],
        _ => &[],
    }
}

/// Returns a node's first or second operand, the only one of a node that has one. Of a selection
/// these are the first choice and the index.
fn operand_of(tape: &Tape, id: Id, second: bool) -> Id {
    match tape.nodes[id as usize] {
        Node::Detach(x) | Node::Unary(_, x) => x,
        Node::Binary(_, x, y) => {
            if second {
                y
            } else {
                x
            }
        }
        Node::Select { index, .. } if second => index,
        Node::Select { list, .. } | Node::Highest { list } => tape.lists[list as usize][0],
        _ => id,
    }
}

/// Lists that are numbered as they first appear.
#[derive(Default)]
struct Lists {
    lists: Vec<Vec<u32>>,
    numbers: FxHashMap<Vec<u32>, u32>,
}

impl Lists {
    fn number(&mut self, list: Vec<u32>) -> u32 {
        if let Some(&number) = self.numbers.get(&list) {
            return number;
        }
        let number = index(self.lists.len());
        self.lists.push(list.clone());
        self.numbers.insert(list, number);
        number
    }
}
