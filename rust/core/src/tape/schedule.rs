//! Re-rolls a tape: nodes of the same op at the same depth become one vector instruction.
//!
//! ```text
//! depth of a node   1 + the largest depth of its operands; parameters, inputs, constants: 0
//! group             nodes of one section, depth and op, in the order of their operands' slots
//! delay             from the last group to the first: a group moves to a later depth, before all
//!                   that use it; to one that has a group of the same op, if there is one: they
//!                   become one group. Else to the last depth that is possible
//! sums of products  sums whose second factors are the same are the rows of a product A·X with one
//!                   column; products whose rows of A are the same become one, with several
//!                   columns. A column of A whose factors are 1 is the bias b of A·X + b
//! ```
//! Groups are delayed because a part of a program may lack a step that similar parts have, as
//! attention to a single position does. All its later nodes are then at a smaller depth than their
//! like, and join them when they are delayed.
//!
//! What depends on no input is computed once for all examples (the uniform section), the rest once
//! for each block of examples (the varying section). A group's results lie one after the other, so
//! that the next instruction mostly reads them in order; where it does not, it gathers them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::elementwise::has_slopes;
use super::graph::{Id, Node, Tape};
use super::program::{Instruction, Operand, Program, Section, Slot};
use crate::autograd::op::Op;
use crate::{Result, alloc};

/// The fewest multiplications that become a product of matrices, in the uniform section and in the
/// varying one.
const SMALLEST_PRODUCTS: [usize; 2] = [32, 4];

/// Schedules a tape; without `matrices`, sums of products stay apart.
///
/// # Errors
/// [`crate::Error::Memory`].
pub fn schedule(tape: &Tape, matrices: bool) -> Result<Program> {
    let mut groups = Groups::of(tape)?;
    let order = groups.order_params(tape)?;
    let mut constants = Vec::new();
    for (id, &node) in tape.nodes.iter().enumerate() {
        match node {
            Node::Input(i) => groups.slots[id] = i,
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
        order,
        inputs: tape.inputs,
        output: slot(tape.output),
        guards: alloc::collected(guards)?,
        constants,
        uniform,
        varying,
    })
}

/// Returns a number of slots, which is below [`Slot::MOST`], as u32.
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
    /// A sum of that many products whose first factors do not vary: a row of a matrix times a vector.
    Row(usize),
    Highest,
    /// The number of choices.
    Select(usize),
}

fn kind(tape: &Tape, node: Node) -> Option<Kind> {
    Some(match node {
        Node::Const(_) | Node::Param(_) | Node::Input(_) => return None,
        Node::Detach(_) => Kind::Copy,
        Node::Unary(op, _) => Kind::Unary(op as u8),
        // They differ only in how they are printed.
        Node::Binary(Op::PowInt | Op::PowFloat, ..) => Kind::Binary(Op::PowFloat as u8),
        Node::Binary(op, ..) => Kind::Binary(op as u8),
        Node::Dot { .. } => Kind::Dot,
        Node::Highest { .. } => Kind::Highest,
        Node::Select { list, .. } => Kind::Select(tape.lists[list as usize].len()),
    })
}

/// The properties that the nodes of a group share: whether they vary, their depth, their op.
type Key = (bool, u32, Kind);

/// Delays each group as far as its users allow; returns the groups by their new keys.
fn delay(
    tape: &Tape,
    varying: &[bool],
    found: FxHashMap<Key, Vec<Id>>,
) -> Result<FxHashMap<Key, Vec<Id>>> {
    let mut by_depth: Vec<(Key, Vec<Id>)> = found.into_iter().collect();
    by_depth.sort_unstable_by_key(|((_, depth, _), group)| (u32::MAX - depth, group[0]));
    // For each node, the greatest depth that comes before all its users.
    let mut latest = alloc::filled(u32::MAX, tape.nodes.len())?;
    let mut depths: FxHashMap<(bool, Kind), BTreeSet<u32>> = FxHashMap::default();
    let mut delayed: FxHashMap<Key, Vec<Id>> = FxHashMap::default();
    for ((is_varying, mut depth, kind), group) in by_depth {
        let last = group.iter().map(|&id| latest[id as usize]).fold(u32::MAX, u32::min);
        let alike = depths.entry((is_varying, kind)).or_default();
        let joined = alike.range(depth..=last).next_back().copied();
        depth = joined.unwrap_or(if last == u32::MAX { depth } else { last });
        alike.insert(depth);
        for &id in &group {
            tape.each_operand(tape.nodes[id as usize], |x| {
                if varying[x as usize] == is_varying {
                    latest[x as usize] = latest[x as usize].min(depth - 1);
                }
            });
        }
        delayed.entry((is_varying, depth, kind)).or_default().extend(group);
    }
    Ok(delayed)
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
        let mut found: FxHashMap<Key, Vec<Id>> = FxHashMap::default();
        for (id, &node) in tape.nodes.iter().enumerate() {
            varying[id] = matches!(node, Node::Input(_));
            active[id] = matches!(node, Node::Param(_));
            let Some(mut kind) = kind(tape, node) else { continue };
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
            let pairs = pairs_of(tape, id as Id);
            if kind == Kind::Dot && is_varying && !pairs.iter().any(|&(x, _)| varying[x as usize]) {
                kind = Kind::Row(pairs.len());
            }
            found.entry((is_varying, depth + 1, kind)).or_default().push(id as Id);
        }
        let mut groups: Vec<(Key, Vec<Id>)> = delay(tape, &varying, found)?.into_iter().collect();
        for (_, group) in &mut groups {
            group.sort_unstable();
        }
        // Within a depth, in the order of first appearance.
        groups.sort_unstable_by_key(|((_, depth, _), group)| (*depth, group[0]));
        let mut in_order = [Vec::new(), Vec::new()];
        for ((varying, ..), group) in groups {
            in_order[usize::from(varying)].push(group);
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

    /// Gives the parameters slots in the order in which sums use them, so that the rows of a matrix lie
    /// in order: sums over the same second factors come one after the other, then those factors that
    /// nothing is multiplied with, the biases. Returns the parameter of each slot.
    fn order_params(&mut self, tape: &Tape) -> Result<Vec<u32>> {
        let mut slots = alloc::filled(u32::MAX, tape.params)?;
        let mut order = alloc::with_capacity(tape.params)?;
        let mut put = |param: u32| {
            if slots[param as usize] == u32::MAX {
                slots[param as usize] = index(order.len());
                order.push(param);
            }
        };
        for group in self.in_order.iter().rev().flatten() {
            let mut sums: Vec<&[(Id, Id)]> = group.iter().map(|&id| pairs_of(tape, id)).collect();
            sums.sort_by_key(|pairs| pairs.first().map(|&(_, y)| y));
            for are_biases in [false, true] {
                for &(x, y) in sums.iter().copied().flatten() {
                    let is_bias = matches!(tape.nodes[y as usize], Node::Const(_));
                    if let Node::Param(param) = tape.nodes[x as usize]
                        && is_bias == are_biases
                    {
                        put(param);
                    }
                }
            }
        }
        (0..index(tape.params)).for_each(&mut put);
        for (node, slot) in tape.nodes.iter().zip(&mut self.slots) {
            if let Node::Param(param) = *node {
                *slot = slots[param as usize];
            }
        }
        Ok(order)
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
            if matches!(tape.nodes[group[0] as usize], Node::Dot { .. }) && matrices {
                group = self.products(tape, &group, varying, &mut section)?;
            }
            self.sort_by_operand(tape, &mut group);
            group.sort_by_key(|&id| Reverse(terms(tape, id)));
            if group.is_empty() {
                continue;
            }
            let out = self.place(&group, &mut section);
            let instruction = self.elementwise(tape, &group, varying, out, &mut section.slopes);
            section.instructions.push(instruction);
        }
        Ok(section)
    }

    /// Sorts a group by the slots of its first or of its second operands, whichever are more distinct
    /// slots, so that these are read in order.
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

    /// Returns the instruction of a group that is not a product of matrices.
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
                let slope = if has_slopes(op) { kept(1) } else { 0 };
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
                let (counts, xs) = term_by_term(group, |id| match tape.nodes[id as usize] {
                    Node::Highest { list } => &tape.lists[list as usize],
                    _ => &[],
                });
                Instruction::Highest { counts, x: self.operand(xs, varying), out }
            }
            Node::Dot { .. } => {
                let (counts, pairs) = term_by_term(group, |id| pairs_of(tape, id));
                let (xs, ys): (Vec<Id>, Vec<Id>) = pairs.into_iter().unzip();
                let is_one = |id: &Id| tape.nodes[*id as usize] == Node::Const(1.0);
                let y = (!ys.iter().all(is_one)).then(|| self.operand(ys, varying));
                Instruction::Dots { counts, x: self.operand(xs, varying), y, out }
            }
            Node::Const(_) | Node::Param(_) | Node::Input(_) => {
                unreachable!("they are not computed")
            }
        }
    }

    /// Returns where the first number of a list lies.
    fn first_slot(&self, lists: &Lists, number: u32) -> Option<u32> {
        lists.lists[number as usize].first().map(|&id| self.slots[id as usize])
    }

    /// Adds products of matrices for the sums that have factors in common; returns the other sums.
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
        // Columns with the same rows make one matrix; both lie in the order of their numbers.
        let mut matrices = Lists::default();
        let mut of_matrix: Vec<Vec<u32>> = Vec::new();
        for (column, members) in (0..).zip(&mut of_column) {
            members.sort_by_key(|&(row, _)| (self.first_slot(&rows, row), row));
            let matrix = matrices.number(members.iter().map(|&(row, _)| row).collect());
            if matrix as usize == of_matrix.len() {
                of_matrix.push(Vec::new());
            }
            of_matrix[matrix as usize].push(column);
        }
        for (matrix_rows, matrix_columns) in matrices.lists.iter().zip(&mut of_matrix) {
            matrix_columns.sort_by_key(|&column| (self.first_slot(&columns, column), column));
            let inner = rows.lists[matrix_rows[0] as usize].len();
            let (height, width) = (matrix_rows.len(), matrix_columns.len());
            let cells = (0..height).flat_map(|row| matrix_columns.iter().map(move |&c| (c, row)));
            let nodes = cells.map(|(c, row)| of_column[c as usize][row].1);
            let nodes = gathered(height * width, nodes)?;
            let is_one_sum = height * width == 1 && !varying;
            if is_one_sum || height * width * inner < SMALLEST_PRODUCTS[usize::from(varying)] {
                others.extend(nodes);
                continue;
            }
            let (rows, columns) = (&rows, &columns);
            let column =
                |k: usize| matrix_columns.iter().map(move |&c| columns.lists[c as usize][k]);
            let is_one = |id: Id| tape.nodes[id as usize] == Node::Const(1.0);
            let bias = (0..inner).find(|&k| varying && inner > 1 && column(k).all(is_one));
            let terms = || (0..inner).filter(|&k| Some(k) != bias);
            let row = |&r: &u32| terms().map(move |k| rows.lists[r as usize][k]);
            let a = gathered(height * inner, matrix_rows.iter().flat_map(row))?;
            let x = gathered(inner * width, terms().flat_map(column))?;
            let (a, x) = (self.operand(a, varying), self.operand(x, varying));
            let of_row = |k: usize| matrix_rows.iter().map(move |&r| rows.lists[r as usize][k]);
            let bias = bias.map(|k| Box::new(self.operand(of_row(k), varying)));
            let inner = inner - usize::from(bias.is_some());
            let out = self.place(&nodes, section);
            section.instructions.push(Instruction::MatMul {
                a,
                x,
                bias,
                out,
                rows: index(height),
                inner: index(inner),
                cols: index(width),
            });
        }
        Ok(others)
    }
}

/// Lists the first items of the nodes of a group, then the second ones, and so on, with the number of
/// nodes that have each. The longest lists come first.
fn term_by_term<'a, T: Copy + 'a>(
    group: &[Id],
    list: impl Fn(Id) -> &'a [T],
) -> (Vec<u32>, Vec<T>) {
    let (mut counts, mut items) = (Vec::new(), Vec::new());
    for k in 0..list(group[0]).len() {
        let before = items.len();
        items.extend(group.iter().map_while(|&id| list(id).get(k)));
        counts.push(index(items.len() - before));
    }
    (counts, items)
}

/// Collects items of a known number.
fn gathered(length: usize, items: impl Iterator<Item = Id>) -> Result<Vec<Id>> {
    let mut gathered = alloc::with_capacity(length)?;
    gathered.extend(items);
    Ok(gathered)
}

fn pairs_of(tape: &Tape, id: Id) -> &[(Id, Id)] {
    match tape.nodes[id as usize] {
        Node::Dot { pairs } => &tape.pairs[pairs as usize],
        _ => &[],
    }
}

/// Returns the number of terms of a sum, or of the items of a list of which the largest is taken.
fn terms(tape: &Tape, id: Id) -> usize {
    match tape.nodes[id as usize] {
        Node::Dot { pairs } => tape.pairs[pairs as usize].len(),
        Node::Highest { list } => tape.lists[list as usize].len(),
        _ => 0,
    }
}

/// Returns a node's first or second operand, the only one of a node that has one. Of a selection
/// these are the first choice and the index, of a sum the factors of its first term.
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
        Node::Dot { pairs } => {
            let (x, y) = tape.pairs[pairs as usize][0];
            if second { y } else { x }
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
