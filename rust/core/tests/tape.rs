//! Programs compiled from random tapes, against a node-by-node oracle.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "tests may fail loudly"
)]

use fastgrad_core::autograd::op::{self, Op};
use fastgrad_core::autograd::optim::Sgd;
use fastgrad_core::progress::Progress;
use fastgrad_core::rng::Rng;
use fastgrad_core::tape::batch::Replayer;
use fastgrad_core::tape::program::{Instruction, Operand, Part};
use fastgrad_core::tape::replay::Stop;
use fastgrad_core::tape::train::{Plan, Rule, State, Task, train};
use fastgrad_core::tape::{Builder, Comparison, Guard, Id, Node, Passes, Tape};
use fastgrad_core::worker_pool::WorkerPool;

/// Evaluates a tape node by node, and the derivative of its output by every parameter, with the
/// sum of the absolute contributions of all paths.
fn oracle(tape: &Tape, params: &[f64], inputs: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let mut values = Vec::new();
    let mut slopes: Vec<Vec<(usize, f64)>> = Vec::new();
    for &node in &tape.nodes {
        let at = |id: Id| values[id as usize];
        let (value, slope): (f64, Vec<(usize, f64)>) = match node {
            Node::Const(number) => (number, vec![]),
            Node::Param(i) => (params[i as usize], vec![]),
            Node::Input(i) => (inputs[i as usize], vec![]),
            Node::Detach(x) => (at(x), vec![]),
            Node::Unary(op, x) => {
                let result = op::unary(op, at(x)).unwrap();
                (result.value, vec![(x as usize, result.dx)])
            }
            Node::Binary(op, x, y) => {
                let result = op::binary(op, at(x), at(y)).unwrap();
                let exponent = matches!(op, Op::PowInt | Op::PowFloat);
                let dy = if exponent { 0.0 } else { result.dy };
                (result.value, vec![(x as usize, result.dx), (y as usize, dy)])
            }
            Node::Select { list, index } => {
                let chosen = tape.lists[list as usize][at(index) as usize];
                (at(chosen), vec![(chosen as usize, 1.0)])
            }
            Node::Highest { list } => {
                let numbers = tape.lists[list as usize].iter().map(|&x| at(x));
                (numbers.fold(f64::NEG_INFINITY, f64::max), vec![])
            }
            Node::Dot { pairs } => {
                let pairs = &tape.pairs[pairs as usize];
                let value = pairs.iter().map(|&(x, y)| at(x) * at(y)).sum();
                let both = |&(x, y): &(Id, Id)| [(x as usize, at(y)), (y as usize, at(x))];
                (value, pairs.iter().flat_map(both).collect())
            }
        };
        values.push(value);
        slopes.push(slope);
    }
    let mut adjoints = vec![(0.0, 0.0); values.len()];
    adjoints[tape.output as usize] = (1.0, 1.0);
    for id in (0..values.len()).rev() {
        for &(operand, slope) in &slopes[id] {
            let (signed, absolute) = adjoints[id];
            if signed != 0.0 || absolute != 0.0 {
                adjoints[operand].0 += signed * slope;
                adjoints[operand].1 += absolute * f64::abs(slope);
            }
        }
    }
    let mut gradients = vec![0.0; params.len()];
    let mut bounds = vec![0.0; params.len()];
    for (&node, adjoint) in tape.nodes.iter().zip(&adjoints) {
        if let Node::Param(i) = node {
            gradients[i as usize] += adjoint.0;
            bounds[i as usize] += adjoint.1;
        }
    }
    (values[tape.output as usize], gradients, bounds)
}

/// Makes a tape of random ops, whose numbers stay small.
fn random_tape(rng: &mut Rng, nodes: usize) -> Tape {
    let (params, inputs) = (6, 3);
    let mut builder = Builder::new(params, inputs);
    for i in 0..params as u32 {
        builder.push(Node::Param(i)).unwrap();
    }
    for i in 0..inputs as u32 {
        builder.push(Node::Input(i)).unwrap();
    }
    for number in [0.0, 1.0, -0.5, 2.0] {
        builder.push(Node::Const(number)).unwrap();
    }
    for _ in 0..nodes {
        let count = builder.tape.nodes.len() as u64;
        let mut any = || {
            // Recent nodes more often, so that chains arise.
            let back = rng.below(count).min(rng.below(count)).min(rng.below(count));
            (count - 1 - back) as Id
        };
        let (x, y) = (any(), any());
        let kind = rng.below(16);
        let node = match kind {
            0..=3 => Node::Binary(Op::Add, x, y),
            4 => Node::Binary(Op::Sub, x, y),
            5..=7 => {
                // tanh keeps products from growing.
                let x = builder.push(Node::Unary(Op::Tanh, x)).unwrap();
                Node::Binary(Op::Mul, x, y)
            }
            8 => Node::Unary(Op::Tanh, x),
            9 => Node::Unary(Op::Relu, x),
            10 => Node::Unary(Op::Sigmoid, x),
            11 => {
                Node::Unary([Op::Neg, Op::Pos, Op::Abs, Op::Sin, Op::Cos][rng.below(5) as usize], x)
            }
            12 => Node::Binary([Op::Max, Op::Min][rng.below(2) as usize], x, y),
            13 => {
                // A quotient whose divisor is at least 1.
                let square = builder.push(Node::Binary(Op::Mul, y, y)).unwrap();
                let one = builder.push(Node::Const(1.0)).unwrap();
                let divisor = builder.push(Node::Binary(Op::Add, square, one)).unwrap();
                Node::Binary(Op::Div, x, divisor)
            }
            14 => {
                let bounded = builder.push(Node::Unary(Op::Tanh, x)).unwrap();
                let exponent = builder.push(Node::Const(2.0)).unwrap();
                match rng.below(4) {
                    0 => Node::Unary(Op::Exp, bounded),
                    1 => Node::Detach(x),
                    2 => {
                        let list = builder.list(&[x, y, bounded]).unwrap();
                        Node::Highest { list }
                    }
                    _ => Node::Binary(Op::PowInt, bounded, exponent),
                }
            }
            _ => {
                let list = builder.list(&[x, y]).unwrap();
                // The last input is 0 or 1.
                Node::Select { list, index: (params + inputs - 1) as Id }
            }
        };
        builder.push(node).unwrap();
    }
    let mut tape = builder.tape;
    tape.output = tape.nodes.len() as Id - 1;
    tape
}

/// Computes the mean output and the gradients of a batch.
fn replay(
    tape: &Tape,
    passes: Passes,
    threads: usize,
    params: &[f64],
    rows: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let program = passes.compile(tape).unwrap();
    let progress = Progress::new();
    let pool = WorkerPool::new(threads, &progress);
    let mut replayer = Replayer::<f64>::new(&program, &program.order).unwrap();
    let mut outputs = vec![0.0; rows.len() / tape.inputs];
    let mut gradients = vec![0.0; params.len()];
    pool.run(|| {
        let wanted = Some((1.0, gradients.as_mut_slice()));
        replayer.run(&program, &pool, params, rows, (&mut outputs, wanted)).unwrap();
    });
    (outputs, gradients)
}

fn every_passes() -> Vec<Passes> {
    let all = Passes::default();
    vec![
        all,
        Passes { fold: false, ..all },
        Passes { share: false, ..all },
        Passes { sums: false, ..all },
        Passes { matrices: false, ..all },
        Passes { fold: false, share: false, sums: false, matrices: false },
    ]
}

#[test]
fn replays_give_the_values_and_gradients_of_the_tape() {
    let mut rng = Rng::new(7, 0);
    for turn in 0..400 {
        let size = 5 + rng.below(120) as usize;
        let tape = random_tape(&mut rng, size);
        let params: Vec<f64> = (0..tape.params).map(|_| rng.unit() * 2.0 - 1.0).collect();
        let batch = 1 + rng.below(40) as usize;
        let rows: Vec<f64> = (0..batch)
            .flat_map(|_| [rng.unit() - 0.5, rng.unit() - 0.5, rng.below(2) as f64])
            .collect();
        let mut gradients = vec![0.0; params.len()];
        let mut bounds = vec![0.0; params.len()];
        let mut outputs = Vec::new();
        for row in rows.chunks(tape.inputs) {
            let (output, of_row, bound) = oracle(&tape, &params, row);
            outputs.push(output);
            for i in 0..params.len() {
                gradients[i] += of_row[i];
                bounds[i] += bound[i];
            }
        }
        for passes in every_passes() {
            let (found, found_gradients) = replay(&tape, passes, 1, &params, &rows);
            for (found, expected) in found.iter().zip(&outputs) {
                let error = (found - expected).abs();
                assert!(error <= 1e-11 * (1.0 + expected.abs()), "turn {turn}, {passes:?}");
            }
            for i in 0..params.len() {
                let error = (found_gradients[i] - gradients[i]).abs();
                assert!(
                    error <= 1e-12 * (1.0 + bounds[i]),
                    "turn {turn}, {passes:?}: {} for {}, bound {}",
                    found_gradients[i],
                    gradients[i],
                    bounds[i]
                );
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut rng = Rng::new(8, 0);
    for _ in 0..20 {
        let tape = random_tape(&mut rng, 60);
        let params: Vec<f64> = (0..tape.params).map(|_| rng.unit() - 0.5).collect();
        let rows: Vec<f64> =
            (0..3000).flat_map(|_| [rng.unit(), rng.unit(), rng.below(2) as f64]).collect();
        let one = replay(&tape, Passes::default(), 1, &params, &rows);
        for threads in [2, 3] {
            assert_eq!(replay(&tape, Passes::default(), threads, &params, &rows), one);
        }
    }
}

#[test]
fn layers_of_neurons_become_products_of_matrices() {
    let (inputs, units) = (4_u32, 8_u32);
    let mut builder = Builder::new(0, inputs as usize);
    let x: Vec<Id> = (0..inputs).map(|i| builder.push(Node::Input(i)).unwrap()).collect();
    let mut layer = x;
    let mut params = 0;
    for _ in 0..2 {
        let mut outputs = Vec::new();
        for _ in 0..units {
            let mut sum = builder.push(Node::Param(params)).unwrap();
            params += 1;
            for &x in &layer {
                let w = builder.push(Node::Param(params)).unwrap();
                params += 1;
                let product = builder.push(Node::Binary(Op::Mul, w, x)).unwrap();
                sum = builder.push(Node::Binary(Op::Add, sum, product)).unwrap();
            }
            outputs.push(builder.push(Node::Unary(Op::Relu, sum)).unwrap());
        }
        layer = outputs;
    }
    let mut total = builder.push(Node::Const(0.0)).unwrap();
    for &x in &layer {
        total = builder.push(Node::Binary(Op::Add, total, x)).unwrap();
    }
    let mut tape = builder.tape;
    (tape.output, tape.params) = (total, params as usize);
    let program = Passes::default().compile(&tape).unwrap();
    let names: Vec<_> = program.varying.instructions.iter().map(Instruction::name).collect();
    assert_eq!(names, ["matmul", "ReLU", "matmul", "ReLU", "sum"]);
    // Weights, biases and layers are each one slice.
    for (instruction, width) in program.varying.instructions.iter().step_by(2).zip([inputs, units])
    {
        assert_eq!(instruction.shape(), Some((units, width, 1)));
        let is_slice = |operand: &Operand| matches!(operand.parts[..], [Part::Range { .. }]);
        assert!(matches!(instruction, Instruction::MatMul { a, x, bias: Some(bias), .. }
            if is_slice(a) && is_slice(x) && is_slice(bias)));
    }
    let params: Vec<f64> = (0..tape.params).map(|i| (i as f64).sin()).collect();
    let rows: Vec<f64> = (0..13 * inputs).map(|i| f64::from(i).cos()).collect();
    let (outputs, gradients) = replay(&tape, Passes::default(), 1, &params, &rows);
    let mut sums = vec![0.0; tape.params];
    for (row, found) in rows.chunks(inputs as usize).zip(outputs) {
        let (output, of_row, _) = oracle(&tape, &params, row);
        assert!((found - output).abs() < 1e-13);
        sums.iter_mut().zip(of_row).for_each(|(sum, of_row)| *sum += of_row);
    }
    for (found, expected) in gradients.iter().zip(&sums) {
        assert!((found - expected).abs() < 1e-12);
    }
}

#[test]
fn what_is_ahead_by_a_step_joins_its_like() {
    // Three positions, x·2, their mean with the ones before, and a layer: the first has no mean.
    let mut builder = Builder::new(6, 3);
    let weights: Vec<Id> = (0..6).map(|i| builder.push(Node::Param(i)).unwrap()).collect();
    let mut sums = Vec::new();
    let (mut before, mut total) = (None, builder.push(Node::Const(0.0)).unwrap());
    for i in 0..3 {
        let x = builder.push(Node::Input(i)).unwrap();
        let tanh = builder.push(Node::Unary(Op::Tanh, x)).unwrap();
        let mean = match before {
            Some(before) => builder.push(Node::Binary(Op::Max, before, tanh)).unwrap(),
            None => tanh,
        };
        before = Some(tanh);
        for pair in weights.chunks(2) {
            let scaled = builder.push(Node::Binary(Op::Mul, pair[0], mean)).unwrap();
            let moved = builder.push(Node::Binary(Op::Add, scaled, pair[1])).unwrap();
            sums.push(builder.push(Node::Unary(Op::Relu, moved)).unwrap());
        }
    }
    for sum in sums {
        total = builder.push(Node::Binary(Op::Add, total, sum)).unwrap();
    }
    let mut tape = builder.tape;
    tape.output = total;
    let program = Passes::default().compile(&tape).unwrap();
    let names: Vec<_> = program.varying.instructions.iter().map(Instruction::name).collect();
    assert_eq!(names, ["tanh", "max", "matmul", "ReLU", "sum"]);
    let (outputs, gradients) = replay(&tape, Passes::default(), 1, &[0.5; 6], &[0.1, 0.2, -0.3]);
    let (output, expected, _) = oracle(&tape, &[0.5; 6], &[0.1, 0.2, -0.3]);
    assert!((outputs[0] - output).abs() < 1e-15);
    for (found, expected) in gradients.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-15);
    }
}

#[test]
fn exponentials_are_those_of_the_op_table() {
    let mut builder = Builder::new(0, 1);
    let x = builder.push(Node::Input(0)).unwrap();
    let output = builder.push(Node::Unary(Op::Exp, x)).unwrap();
    let mut tape = builder.tape;
    tape.output = output;
    let mut rng = Rng::new(9, 0);
    let mut rows: Vec<f64> = (0..4000).map(|i| (rng.unit() - 0.5) * f64::from(i % 1400)).collect();
    rows.extend([0.0, -0.0, 1.0, -1.0, 700.0, -700.0, 709.5, -745.0, -800.0, f64::NEG_INFINITY]);
    let (outputs, _) = replay(&tape, Passes::default(), 1, &[], &rows);
    for (x, found) in rows.iter().zip(&outputs) {
        let expected = op::unary(Op::Exp, *x).unwrap().value;
        assert!((found - expected).abs() <= 3e-16 * expected, "exp({x}) is {found}");
    }
    let program = Passes::default().compile(&tape).unwrap();
    let progress = Progress::new();
    let pool = WorkerPool::new(1, &progress);
    let mut replayer = Replayer::<f64>::new(&program, &program.order).unwrap();
    let result = replayer.run(&program, &pool, &[], &[0.0, 800.0], (&mut [0.0; 2], None));
    assert_eq!(result, Err((1, Stop::Failed(1))));
}

#[test]
fn training_over_several_programs_does_not_depend_on_the_number_of_threads() {
    let mut rng = Rng::new(10, 0);
    let tapes: Vec<Tape> = (0..5).map(|_| random_tape(&mut rng, 40)).collect();
    let programs: Vec<_> =
        tapes.iter().map(|tape| Passes::default().compile(tape).unwrap()).collect();
    let rows: Vec<f64> =
        (0..50).flat_map(|_| [rng.unit(), rng.unit(), rng.below(2) as f64]).collect();
    let order: Vec<[u32; 2]> =
        (0..200).map(|_| [rng.below(5) as u32, rng.below(50) as u32]).collect();
    let starts: Vec<usize> = (0..=10).map(|step| step * 20).collect();
    let places: Vec<u32> = vec![5, 0, 3, 1, 2, 4];
    let train = |threads: usize| {
        let progress = Progress::new();
        let pool = WorkerPool::new(threads, &progress);
        let mut tasks: Vec<Task<'_>> = programs
            .iter()
            .map(|program| Task::new(program, &rows, &places, false).unwrap())
            .collect();
        let (mut data, mut gradients) = (vec![0.1; 6], vec![0.0; 6]);
        let (mut losses, mut first) = (vec![0.0; 10], vec![0.0; 6]);
        let mut state = State {
            data: &mut data,
            gradients: &mut gradients,
            first: &mut first,
            second: &mut [],
            steps: 0,
        };
        let rule = Rule::Sgd(Sgd { lr: 0.0, momentum: 0.9, weight_decay: 0.0 });
        let plan = Plan { lrs: &[0.01; 10], order: &order, starts: &starts };
        let stopped =
            pool.run(|| train(&mut tasks, rule, plan, &mut state, &mut losses, &pool)).unwrap();
        assert_eq!(stopped, None);
        (data, losses)
    };
    let one = train(1);
    assert!(one.0.iter().all(|p| p.is_finite()));
    for threads in [2, 3, 8] {
        assert_eq!(train(threads), one);
    }
}

#[test]
fn a_guard_that_breaks_stops_the_replay_at_its_row() {
    let mut builder = Builder::new(0, 1);
    let x = builder.push(Node::Input(0)).unwrap();
    let one = builder.push(Node::Const(1.0)).unwrap();
    let mut tape = builder.tape;
    tape.output = x;
    let (comparison, held) = (Comparison::Less, true);
    tape.guards.push(Guard { comparison, x, y: one, held, place: 5 });
    let program = Passes::default().compile(&tape).unwrap();
    let progress = Progress::new();
    let pool = WorkerPool::new(1, &progress);
    let mut replayer = Replayer::<f64>::new(&program, &program.order).unwrap();
    let mut outputs = [0.0; 3];
    let result = replayer.run(&program, &pool, &[], &[0.0, 0.5, 2.0], (&mut outputs, None));
    assert_eq!(result, Err((2, Stop::Guard(2, 5))));
}

#[test]
fn failures_and_wrong_indices_stop_at_their_row() {
    let mut builder = Builder::new(0, 2);
    let x = builder.push(Node::Input(0)).unwrap();
    let index = builder.push(Node::Input(1)).unwrap();
    let one = builder.push(Node::Const(1.0)).unwrap();
    let quotient = builder.push(Node::Binary(Op::Div, one, x)).unwrap();
    let list = builder.list(&[x, quotient]).unwrap();
    let chosen = builder.push(Node::Select { list, index }).unwrap();
    let mut tape = builder.tape;
    tape.output = chosen;
    let program = Passes::default().compile(&tape).unwrap();
    let progress = Progress::new();
    let pool = WorkerPool::new(1, &progress);
    let mut replayer = Replayer::<f64>::new(&program, &program.order).unwrap();
    let mut run = |rows: &[f64]| {
        let mut outputs = [0.0; 2];
        replayer.run(&program, &pool, &[], rows, (&mut outputs, None)).map(|()| outputs)
    };
    assert_eq!(run(&[2.0, 0.0, 4.0, 1.0]), Ok([2.0, 0.25]));
    assert_eq!(run(&[2.0, 0.0, 0.0, 0.0]), Err((1, Stop::Failed(1))));
    assert_eq!(run(&[2.0, 2.0, 4.0, 1.0]), Err((0, Stop::Index(0))));
    assert_eq!(run(&[2.0, 0.5, 4.0, 1.0]), Err((0, Stop::Index(0))));
    assert_eq!(run(&[2.0, f64::NAN, 4.0, 1.0]), Err((0, Stop::Index(0))));
}

#[test]
fn wrong_tapes_are_refused() {
    let tape = |nodes: Vec<Node>| Tape { nodes, params: 1, inputs: 1, ..Tape::default() };
    for nodes in [
        vec![],
        vec![Node::Param(1)],
        vec![Node::Input(1)],
        vec![Node::Detach(0)],
        vec![Node::Param(0), Node::Unary(Op::Add, 0)],
        vec![Node::Param(0), Node::Binary(Op::Exp, 0, 0)],
        vec![Node::Param(0), Node::Binary(Op::PowInt, 0, 0)],
        vec![Node::Param(0), Node::Select { list: 0, index: 0 }],
        vec![Node::Param(0), Node::Dot { pairs: 0 }],
    ] {
        assert!(Passes::default().compile(&tape(nodes.clone())).is_err(), "{nodes:?}");
    }
}
