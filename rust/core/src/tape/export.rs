//! Writes a tape as a plain function in C or Rust, to study or to compile.
//!
//! The function takes the parameters and the numbers of an example, adds the gradient to an array,
//! and returns the output: one statement a node, forwards, then one an edge, backwards. Parameters
//! are p0, p1, …, numbers of the example x0, x1, …, values v, and the derivatives of the output by
//! these d. Unused nodes are not written.

use std::fmt::{Result as Written, Write};

use rustc_hash::{FxHashMap, FxHashSet};

use super::graph::{Id, Node, Tape};
use super::simplify::drop_unused;
use crate::autograd::op::Op;
use crate::{Result, alloc};

/// A programming language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C99
    C,
    /// Rust 2021
    Rust,
}

use Language::{C, Rust};

/// Returns the source of a function of this name. Guards, and nodes that only guards use, are left
/// out.
///
/// # Errors
/// [`crate::Error::Memory`].
pub fn export(tape: &Tape, language: Language, name: &str) -> Result<String> {
    let tape = drop_unused(&Tape { guards: Vec::new(), ..tape.clone() })?;
    let mut text = String::new();
    let mut writer = Writer { tape: &tape, language, text: &mut text };
    let summands = writer.summands()?;
    // Writing to a string does not fail.
    let _ = writer.function(name, &summands);
    Ok(text)
}

/// A summand of a node's gradient.
struct Summand {
    /// the node
    to: Id,
    /// the expression
    what: String,
}

struct Writer<'a> {
    tape: &'a Tape,
    language: Language,
    text: &'a mut String,
}

impl Writer<'_> {
    fn function(&mut self, name: &str, summands: &[Summand]) -> Written {
        self.signature(name, !summands.is_empty())?;
        let tape = self.tape;
        for (id, &node) in tape.nodes.iter().enumerate() {
            if !matches!(node, Node::Const(_)) {
                let is_fixed = matches!(node, Node::Detach(_) | Node::Highest { .. });
                let about = if is_fixed { " // no gradient" } else { "" };
                self.line(true, &self.name(id as Id), &self.value(node), about)?;
            }
        }
        self.backward(summands)?;
        let output = self.name(tape.output);
        match self.language {
            C => writeln!(self.text, "    return {output};\n}}"),
            Rust => writeln!(self.text, "    {output}\n}}"),
        }
    }

    /// Writes the signature, in which unused arguments are marked so that compilers do not warn.
    fn signature(&mut self, name: &str, has_gradients: bool) -> Written {
        let has = |wanted: fn(&Node) -> bool| self.tape.nodes.iter().any(wanted);
        let used = [
            ("params", has(|node| matches!(node, Node::Param(_)))),
            ("inputs", has(|node| matches!(node, Node::Input(_)))),
            ("gradients", has_gradients),
        ];
        let params = counted(self.tape.params, "parameter", 'p');
        let inputs = counted(self.tape.inputs, "input", 'x');
        let about = [
            format!("Returns the output for {params}, and {inputs}."),
            "Adds the derivative of the output by each parameter to gradients.".to_owned(),
            "Each v is a value, each d the derivative of the output by it.".to_owned(),
        ];
        match self.language {
            C => {
                writeln!(self.text, "#include <math.h>\n\n/* {} */", about.join("\n   "))?;
                writeln!(
                    self.text,
                    "double {name}(const double *params, const double *inputs, double *gradients) {{"
                )?;
                for (name, _) in used.iter().filter(|(_, is_used)| !is_used) {
                    writeln!(self.text, "    (void){name};")?;
                }
                Ok(())
            }
            Rust => {
                let [params, inputs, gradients] =
                    used.map(
                        |(name, is_used)| {
                            if is_used { name.to_owned() } else { format!("_{name}") }
                        },
                    );
                writeln!(self.text, "/// {}", about.join("\n/// "))?;
                writeln!(
                    self.text,
                    "pub fn {name}({params}: &[f64], {inputs}: &[f64], {gradients}: &mut [f64]) -> f64 {{"
                )
            }
        }
    }

    /// Writes the definition of a variable.
    fn line(&mut self, is_final: bool, name: &str, value: &str, about: &str) -> Written {
        let kind = match (self.language, is_final) {
            (C, true) => "const double",
            (C, false) => "double",
            (Rust, true) => "let",
            (Rust, false) => "let mut",
        };
        let of = if self.language == Rust { ": f64" } else { "" };
        writeln!(self.text, "    {kind} {name}{of} = {value};{about}")
    }

    /// Writes the gradients: the first summand of each defines it, the others are added.
    fn backward(&mut self, summands: &[Summand]) -> Written {
        let mut left = FxHashMap::default();
        for summand in summands {
            *left.entry(summand.to).or_insert(0) += 1;
        }
        let mut defined = FxHashSet::default();
        if !summands.is_empty() {
            self.text.push('\n');
        }
        for Summand { to, what } in summands {
            if let Node::Param(i) = self.tape.nodes[*to as usize] {
                writeln!(self.text, "    gradients[{i}] += {what};")?;
            } else if defined.insert(to) {
                self.line(left[to] == 1, &format!("d{to}"), what, "")?;
            } else {
                writeln!(self.text, "    d{to} += {what};")?;
            }
        }
        Ok(())
    }

    /// Returns the summands of all gradients on the way from the output to parameters.
    fn summands(&self) -> Result<Vec<Summand>> {
        let tape = self.tape;
        let mut active = alloc::filled(false, tape.nodes.len())?;
        for (id, &node) in tape.nodes.iter().enumerate() {
            active[id] = matches!(node, Node::Param(_))
                || self.edges(id as Id, node).iter().any(|(x, _)| active[*x as usize]);
        }
        let mut summands = Vec::new();
        let mut reached = alloc::filled(false, tape.nodes.len())?;
        let mut add = |to: Id, what: String, reached: &mut Vec<bool>| {
            if active[to as usize] {
                reached[to as usize] = true;
                summands.push(Summand { to, what });
            }
        };
        add(tape.output, "1.0".to_owned(), &mut reached);
        for (id, &node) in tape.nodes.iter().enumerate().rev() {
            if reached[id] {
                for (x, slope) in self.edges(id as Id, node) {
                    let what = match slope.as_str() {
                        "1.0" => format!("d{id}"),
                        "-1.0" => format!("-d{id}"),
                        slope if slope.contains(' ') => format!("d{id} * ({slope})"),
                        slope => format!("d{id} * {slope}"),
                    };
                    add(x, what, &mut reached);
                }
            }
        }
        Ok(summands)
    }

    /// Returns the operands through which a node's gradient goes on, each with the derivative by it.
    fn edges(&self, id: Id, node: Node) -> Vec<(Id, String)> {
        let tape = self.tape;
        match node {
            Node::Const(_)
            | Node::Param(_)
            | Node::Input(_)
            | Node::Detach(_)
            | Node::Highest { .. } => Vec::new(),
            Node::Unary(op, x) => vec![(x, self.slope(op, id, x))],
            Node::Binary(op, x, y) => {
                let (dx, dy) = self.slopes(op, id, (x, y));
                std::iter::once((x, dx)).chain(dy.map(|dy| (y, dy))).collect()
            }
            Node::Select { list, index } => {
                let list = tape.lists[list as usize].iter().enumerate();
                let index = self.name(index);
                list.map(|(i, &x)| (x, self.choice(&format!("{index} == {i}.0"), "1.0", "0.0")))
                    .collect()
            }
            Node::Dot { pairs } => {
                let pairs = tape.pairs[pairs as usize].iter();
                pairs.flat_map(|&(x, y)| [(x, self.name(y)), (y, self.name(x))]).collect()
            }
        }
    }

    /// Returns the expression of a node: its variable, or a constant.
    fn name(&self, id: Id) -> String {
        match self.tape.nodes[id as usize] {
            Node::Const(number) => self.number(number),
            Node::Param(i) => format!("p{i}"),
            Node::Input(i) => format!("x{i}"),
            _ => format!("v{id}"),
        }
    }

    /// Returns the expression of a node's value.
    fn value(&self, node: Node) -> String {
        let name = |id: Id| self.name(id);
        match node {
            Node::Const(number) => self.number(number),
            Node::Param(i) => format!("params[{i}]"),
            Node::Input(i) => format!("inputs[{i}]"),
            Node::Detach(x) | Node::Unary(Op::Pos, x) => name(x),
            Node::Unary(Op::Neg, x) => minus(&name(x)),
            Node::Unary(Op::Sigmoid, x) => {
                format!("1.0 / (1.0 + {})", self.call("exp", &minus(&name(x))))
            }
            Node::Unary(Op::Relu, x) => self.choice(&format!("{} > 0.0", name(x)), &name(x), "0.0"),
            Node::Unary(op, x) => self.call(op.name(), &name(x)),
            Node::Binary(op, x, y) => {
                let (x, y) = (name(x), name(y));
                match op {
                    Op::Pow | Op::PowInt | Op::PowFloat => self.power(&x, &y),
                    Op::Max => self.choice(&format!("{y} > {x}"), &y, &x),
                    Op::Min => self.choice(&format!("{y} < {x}"), &y, &x),
                    op => format!("{x} {} {y}", op.name()),
                }
            }
            Node::Select { list, index } => {
                let (list, index) = (self.names(list).join(", "), name(index));
                match self.language {
                    C => format!("((const double[]){{{list}}})[(int){index}]"),
                    Rust => format!("[{list}][{index} as usize]"),
                }
            }
            Node::Highest { list } => {
                let names = self.names(list).into_iter();
                let larger = |x: String, y: String| match self.language {
                    C => format!("fmax({x}, {y})"),
                    Rust => format!("f64::max({x}, {y})"),
                };
                names.reduce(larger).unwrap_or_default()
            }
            Node::Dot { pairs } => {
                let pairs = &self.tape.pairs[pairs as usize];
                let terms = pairs.iter().map(|&(x, y)| match (name(x), name(y)) {
                    (x, y) if y == "1.0" => x,
                    (x, y) if x == "1.0" => y,
                    (x, y) => format!("{x} * {y}"),
                });
                terms.collect::<Vec<_>>().join(" + ")
            }
        }
    }

    fn names(&self, list: u32) -> Vec<String> {
        self.tape.lists[list as usize].iter().map(|&id| self.name(id)).collect()
    }

    /// Returns the expression of df/dx.
    fn slope(&self, op: Op, id: Id, x: Id) -> String {
        let (value, x) = (self.name(id), self.name(x));
        match op {
            Op::Neg => "-1.0".into(),
            Op::Abs => {
                let negative = self.choice(&format!("{x} < 0.0"), "-1.0", "0.0");
                self.choice(&format!("{x} > 0.0"), "1.0", &negative)
            }
            Op::Exp => value,
            Op::Log => format!("1.0 / {x}"),
            Op::Sqrt => format!("0.5 / {value}"),
            Op::Sin => self.call("cos", &x),
            Op::Cos => format!("-{}", self.call("sin", &x)),
            Op::Tanh => format!("1.0 - {value} * {value}"),
            Op::Sigmoid => format!("{value} * (1.0 - {value})"),
            Op::Relu => self.choice(&format!("{x} > 0.0"), "1.0", "0.0"),
            Op::Pos => "1.0".into(),
            _ => unreachable!("{op:?} has not one operand"),
        }
    }

    /// Returns the expressions of df/dx and df/dy; no dy for an exponent that is a number.
    fn slopes(&self, op: Op, id: Id, (x, y): (Id, Id)) -> (String, Option<String>) {
        let one = || "1.0".to_owned();
        let (dx, dy) = match op {
            Op::Pow | Op::PowInt | Op::PowFloat => self.power_slopes(id, x, y),
            Op::Add => (one(), one()),
            Op::Sub => (one(), "-1.0".into()),
            Op::Mul => (self.name(y), self.name(x)),
            Op::Div => {
                let y = self.name(y);
                (format!("1.0 / {y}"), format!("-{} / {y}", self.name(id)))
            }
            Op::Max => self.either(&format!("{} > {}", self.name(y), self.name(x))),
            Op::Min => self.either(&format!("{} < {}", self.name(y), self.name(x))),
            _ => unreachable!("{op:?} has not two operands"),
        };
        (dx, Some(dy).filter(|_| !matches!(op, Op::PowInt | Op::PowFloat)))
    }

    /// Returns the expressions of dz/dx and dz/dy of z = x^y; where x or y is 0, one of them is 0.
    fn power_slopes(&self, z: Id, x: Id, y: Id) -> (String, String) {
        let number = |id: Id| match self.tape.nodes[id as usize] {
            Node::Const(number) => Some(number),
            _ => None,
        };
        let (base, exponent) = (self.name(x), self.name(y));
        let lower = match number(y) {
            Some(2.0) => base.clone(),
            Some(y) => self.power(&base, &self.number(y - 1.0)),
            None => self.power(&base, &format!("{exponent} - 1.0")),
        };
        let unless_zero = |id: Id, name: &str, slope: String| match number(id) {
            Some(0.0) => "0.0".to_owned(),
            Some(_) => slope,
            None => self.choice(&format!("{name} == 0.0"), "0.0", &slope),
        };
        let log = format!("{} * {}", self.name(z), self.call("log", &base));
        (unless_zero(y, &exponent, format!("{exponent} * {lower}")), unless_zero(x, &base, log))
    }

    fn either(&self, condition: &str) -> (String, String) {
        (self.choice(condition, "0.0", "1.0"), self.choice(condition, "1.0", "0.0"))
    }

    fn choice(&self, condition: &str, yes: &str, no: &str) -> String {
        match self.language {
            C => format!("{condition} ? {yes} : {no}"),
            Rust => format!("if {condition} {{ {yes} }} else {{ {no} }}"),
        }
    }

    /// Returns the call of a function of math.h, or of f64.
    fn call(&self, function: &str, x: &str) -> String {
        match (self.language, function) {
            (C, "abs") => format!("fabs({x})"),
            (C, _) => format!("{function}({x})"),
            (Rust, "log") => format!("f64::ln({x})"),
            (Rust, _) => format!("f64::{function}({x})"),
        }
    }

    fn power(&self, x: &str, y: &str) -> String {
        match self.language {
            C => format!("pow({x}, {y})"),
            Rust => format!("f64::powf({x}, {y})"),
        }
    }

    fn number(&self, number: f64) -> String {
        match (self.language, number.is_finite()) {
            (_, true) => format!("{number:?}"),
            (C, _) if number.is_nan() => "NAN".into(),
            (C, _) => if number > 0.0 { "INFINITY" } else { "-INFINITY" }.into(),
            (Rust, _) if number.is_nan() => "f64::NAN".into(),
            (Rust, _) => if number > 0.0 { "f64::INFINITY" } else { "f64::NEG_INFINITY" }.into(),
        }
    }
}

/// Returns the number of parameters or inputs, and their names.
fn counted(count: usize, noun: &str, letter: char) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}, {letter}0"),
        _ => format!("{count} {noun}s, {letter}0 to {letter}{}", count - 1),
    }
}

fn minus(x: &str) -> String {
    if x.starts_with('-') { format!("-({x})") } else { format!("-{x}") }
}
