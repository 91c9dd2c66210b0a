//! A tape written as a plain function in C or Rust, to study or to compile.
//!
//! The function takes the parameters and the numbers of an example, adds the gradient to an array,
//! and returns the output: one statement a node, forwards, then one an edge, backwards.

use std::fmt::Write;

use super::graph::{Id, Node, Tape};
use crate::autograd::op::Op;

/// A programming language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C99
    C,
    /// Rust 2021
    Rust,
}

use Language::{C, Rust};

/// Writes a tape as a function of this name.
#[must_use]
pub fn export(tape: &Tape, language: Language, name: &str) -> String {
    let mut text = String::new();
    let mut writer = Writer { tape, language, text: &mut text };
    // Writing to a string does not fail.
    let _ = writer.function(name);
    text
}

struct Writer<'a> {
    tape: &'a Tape,
    language: Language,
    text: &'a mut String,
}

impl Writer<'_> {
    fn function(&mut self, name: &str) -> std::fmt::Result {
        let (params, inputs) = (self.tape.params, self.tape.inputs);
        match self.language {
            C => writeln!(
                self.text,
                "#include <math.h>\n\n/* {params} parameters, {inputs} inputs; adds to gradients. */\n\
                 double {name}(const double *params, const double *inputs, double *gradients) {{"
            )?,
            Rust => writeln!(
                self.text,
                "/// {params} parameters, {inputs} inputs; adds to gradients.\n\
                 #[allow(unused, clippy::all)]\n\
                 pub fn {name}(params: &[f64], inputs: &[f64], gradients: &mut [f64]) -> f64 {{"
            )?,
        }
        for (id, &node) in self.tape.nodes.iter().enumerate() {
            let value = self.value(node);
            match self.language {
                C => writeln!(self.text, "    const double v{id} = {value};")?,
                Rust => writeln!(self.text, "    let v{id}: f64 = {value};")?,
            }
        }
        for (id, &node) in self.tape.nodes.iter().enumerate() {
            if !matches!(node, Node::Const(_) | Node::Input(_)) {
                let seed = if id == self.tape.output as usize { "1.0" } else { "0.0" };
                match self.language {
                    C => writeln!(self.text, "    double d{id} = {seed};")?,
                    Rust => writeln!(self.text, "    let mut d{id}: f64 = {seed};")?,
                }
            }
        }
        for (id, &node) in self.tape.nodes.iter().enumerate().rev() {
            self.send(id, node)?;
        }
        match self.language {
            C => writeln!(self.text, "    return v{};\n}}", self.tape.output),
            Rust => writeln!(self.text, "    v{}\n}}", self.tape.output),
        }
    }

    /// Returns the expression of a node's value.
    fn value(&self, node: Node) -> String {
        let call = |name: &str, x: Id| match self.language {
            C => format!("{name}(v{x})"),
            Rust => format!("v{x}.{}()", if name == "log" { "ln" } else { name }),
        };
        match node {
            Node::Const(number) => self.number(number),
            Node::Param(i) => format!("params[{i}]"),
            Node::Input(i) => format!("inputs[{i}]"),
            Node::Detach(x) => format!("v{x}"),
            Node::Unary(op, x) => match op {
                Op::Neg => format!("-v{x}"),
                Op::Abs => match self.language {
                    C => format!("fabs(v{x})"),
                    Rust => format!("v{x}.abs()"),
                },
                Op::Sigmoid => match self.language {
                    C => format!("1.0 / (1.0 + exp(-v{x}))"),
                    Rust => format!("1.0 / (1.0 + (-v{x}).exp())"),
                },
                Op::Relu => self.choice(&format!("v{x} > 0.0"), &format!("v{x}"), "0.0"),
                Op::Pos => format!("v{x}"),
                op => call(op.name(), x),
            },
            Node::Binary(op, x, y) => match op {
                Op::Pow | Op::PowInt | Op::PowFloat => {
                    self.power(&format!("v{x}"), &format!("v{y}"))
                }
                Op::Max => self.choice(&format!("v{y} > v{x}"), &format!("v{y}"), &format!("v{x}")),
                Op::Min => self.choice(&format!("v{y} < v{x}"), &format!("v{y}"), &format!("v{x}")),
                op => format!("v{x} {} v{y}", op.name()),
            },
            Node::Select { list, index } => {
                let list = names(&self.tape.lists[list as usize]).join(", ");
                match self.language {
                    C => format!("((double[]){{{list}}})[(int)v{index}]"),
                    Rust => format!("[{list}][v{index} as usize]"),
                }
            }
            Node::Highest { list } => {
                let names = names(&self.tape.lists[list as usize]);
                names.into_iter().reduce(|x, y| match self.language {
                    C => format!("fmax({x}, {y})"),
                    Rust => format!("{x}.max({y})"),
                })
            }
            .unwrap_or_default(),
            Node::Dot { pairs } => {
                let pairs = &self.tape.pairs[pairs as usize];
                let terms: Vec<_> = pairs.iter().map(|(x, y)| format!("v{x} * v{y}")).collect();
                terms.join(" + ")
            }
        }
    }

    /// Writes the statements that send a node's gradient to its operands.
    fn send(&mut self, id: usize, node: Node) -> std::fmt::Result {
        match node {
            Node::Const(_) | Node::Input(_) | Node::Detach(_) | Node::Highest { .. } => Ok(()),
            Node::Param(i) => writeln!(self.text, "    gradients[{i}] += d{id};"),
            Node::Unary(op, x) => {
                let slope = self.slope(op, id, x);
                self.add(x, &format!("d{id} * ({slope})"))
            }
            Node::Binary(op, x, y) => {
                let (dx, dy) = self.slopes(op, id, (x, y));
                self.add(x, &format!("d{id} * ({dx})"))?;
                if dy.is_empty() { Ok(()) } else { self.add(y, &format!("d{id} * ({dy})")) }
            }
            Node::Select { list, index } => {
                let tape = self.tape;
                for (i, &x) in tape.lists[list as usize].iter().enumerate() {
                    if self.has_gradient(x) {
                        let condition = format!("v{index} == {i}.0");
                        match self.language {
                            C => writeln!(self.text, "    if ({condition}) d{x} += d{id};")?,
                            Rust => writeln!(self.text, "    if {condition} {{ d{x} += d{id}; }}")?,
                        }
                    }
                }
                Ok(())
            }
            Node::Dot { pairs } => {
                let tape = self.tape;
                for &(x, y) in &tape.pairs[pairs as usize] {
                    self.add(x, &format!("d{id} * v{y}"))?;
                    self.add(y, &format!("d{id} * v{x}"))?;
                }
                Ok(())
            }
        }
    }

    /// Writes the statement that adds to a gradient, unless nobody asks for it.
    fn add(&mut self, x: Id, what: &str) -> std::fmt::Result {
        if self.has_gradient(x) { writeln!(self.text, "    d{x} += {what};") } else { Ok(()) }
    }

    fn has_gradient(&self, x: Id) -> bool {
        !matches!(self.tape.nodes[x as usize], Node::Const(_) | Node::Input(_))
    }

    /// Returns the expression of df/dx.
    fn slope(&self, op: Op, id: usize, x: Id) -> String {
        match op {
            Op::Neg => "-1.0".into(),
            Op::Abs => {
                let negative = self.choice(&format!("v{x} < 0.0"), "-1.0", "0.0");
                self.choice(&format!("v{x} > 0.0"), "1.0", &negative)
            }
            Op::Exp => format!("v{id}"),
            Op::Log => format!("1.0 / v{x}"),
            Op::Sqrt => format!("0.5 / v{id}"),
            Op::Sin if self.language == C => format!("cos(v{x})"),
            Op::Cos if self.language == C => format!("-sin(v{x})"),
            Op::Sin => format!("v{x}.cos()"),
            Op::Cos => format!("-v{x}.sin()"),
            Op::Tanh => format!("1.0 - v{id} * v{id}"),
            Op::Sigmoid => format!("v{id} * (1.0 - v{id})"),
            Op::Relu => self.choice(&format!("v{x} > 0.0"), "1.0", "0.0"),
            _ => "1.0".into(),
        }
    }

    /// Returns the expressions of df/dx and df/dy; an empty one for an exponent that is a number.
    fn slopes(&self, op: Op, id: usize, (x, y): (Id, Id)) -> (String, String) {
        let one = || "1.0".to_owned();
        match op {
            Op::Sub => (one(), "-1.0".into()),
            Op::Mul => (format!("v{y}"), format!("v{x}")),
            Op::Div => (format!("1.0 / v{y}"), format!("-v{id} / v{y}")),
            Op::Pow | Op::PowInt | Op::PowFloat => {
                let power = self.power(&format!("v{x}"), &format!("(v{y} - 1.0)"));
                let dx = self.choice(&format!("v{y} == 0.0"), "0.0", &format!("v{y} * {power}"));
                let log =
                    if self.language == C { format!("log(v{x})") } else { format!("v{x}.ln()") };
                let dy = self.choice(&format!("v{x} == 0.0"), "0.0", &format!("v{id} * {log}"));
                (dx, if op == Op::Pow { dy } else { String::new() })
            }
            Op::Max => self.either(&format!("v{y} > v{x}")),
            Op::Min => self.either(&format!("v{y} < v{x}")),
            _ => (one(), one()),
        }
    }

    fn either(&self, condition: &str) -> (String, String) {
        (self.choice(condition, "0.0", "1.0"), self.choice(condition, "1.0", "0.0"))
    }

    fn choice(&self, condition: &str, yes: &str, no: &str) -> String {
        match self.language {
            C => format!("({condition} ? {yes} : {no})"),
            Rust => format!("(if {condition} {{ {yes} }} else {{ {no} }})"),
        }
    }

    fn power(&self, x: &str, y: &str) -> String {
        match self.language {
            C => format!("pow({x}, {y})"),
            Rust => format!("{x}.powf({y})"),
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

fn names(ids: &[Id]) -> Vec<String> {
    ids.iter().map(|id| format!("v{id}")).collect()
}
