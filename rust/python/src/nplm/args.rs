//! Parses and validates arguments: everything is checked before anything is changed.

use fastgrad_core::kernels::Dispatch;
use fastgrad_core::nplm::dropout::Dropout;
use fastgrad_core::nplm::{Dataset, Params, Shape, Shard};
use numpy::{Element, IxDyn, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods, dtype};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::args::{self, Array, number, shorten};
use crate::borrow::Reading;

/// An array with its name, of any number of dimensions.
pub type Named<'py, T> = Array<'py, T, IxDyn>;

/// `f32` or `f64`.
pub trait Number: Dispatch + Element {}
impl Number for f32 {}
impl Number for f64 {}

/// Parses an array of this dtype in C order; `TypeError` or `ValueError` otherwise.
pub fn array<'py, T: Element>(
    name: impl Into<String>,
    given: &Bound<'py, PyAny>,
) -> PyResult<Named<'py, T>> {
    args::array(name, given)?.contiguous()
}

/// Parses a dict of parameters; their shapes are checked by [`check_shapes`].
pub fn set<'py, T: Number>(
    name: &str,
    given: &Bound<'py, PyAny>,
) -> PyResult<Params<Option<Named<'py, T>>>> {
    let Ok(given) = given.cast::<PyDict>() else {
        return Err(args::not_a(name, given, "a dict of arrays"));
    };
    for key in given.keys() {
        let known = key
            .cast::<PyString>()
            .is_ok_and(|key| ["C", "H", "d", "U", "b", "W", "P"].iter().any(|known| key == known));
        if !known {
            let key = shorten(key.as_borrowed());
            let message = format!("{name} has the key {key}; expected C, H, d, U or P, b and W");
            return Err(PyValueError::new_err(message));
        }
    }
    match (given.contains("U")?, given.contains("P")?) {
        (false, false) => {
            let message = format!("{name} has no 'U', nor a 'P' as a tied model has");
            return Err(PyValueError::new_err(message));
        }
        (true, true) => {
            let message =
                format!("{name} has both 'U' and 'P'; expected U, or P where the model is tied");
            return Err(PyValueError::new_err(message));
        }
        _ => {}
    }
    let names = Params { C: "C", H: "H", d: "d", U: "U", b: "b", W: "W", P: "P" };
    let found = names.map(|key| match given.get_item(key)? {
        Some(object) => array(format!("{name}['{key}']"), &object).map(Some),
        None if ["U", "W", "P"].contains(&key) => Ok(None),
        None => Err(PyValueError::new_err(format!("{name} has no '{key}'"))),
    });
    found.transpose()
}

/// Returns the shape of a model, from its parameters and the length of its contexts. If the
/// parameters have only a shard of the output layer, `sharded` is the size of the vocabulary and that
/// shard.
pub fn shape<T: Number>(
    name: &str,
    set: &Params<Option<Named<'_, T>>>,
    context_length: usize,
    sharded: Option<(usize, Shard)>,
) -> PyResult<Shape> {
    // The number of axes is checked first, because the sizes are read from these arrays.
    if let (Some(c), Some(d)) = (&set.C, &set.d) {
        c.expect_shape(&[None, None], "(V, m)")?;
        d.expect_shape(&[None], "(h,)")?;
    }
    let length = |array: &Option<Named<'_, T>>, axis| array.as_ref().map_or(0, |a| a.axis(axis));
    let shape = Shape {
        vocab_size: sharded.map_or_else(|| length(&set.C, 0), |(vocab_size, _)| vocab_size),
        context_length,
        embedding_dim: length(&set.C, 1),
        hidden_dim: length(&set.d, 0),
        direct: set.W.is_some(),
        tied: set.P.is_some(),
        shard: sharded.map(|(_, shard)| shard),
    };
    check_shapes(&shape, set)?;
    let problem = if shape.vocab_size == 0 {
        "C has no rows; expected one for each token"
    } else if shape.embedding_dim == 0 {
        "C has no columns; expected an embedding of at least one number"
    } else if shape.hidden_dim == 0 && !shape.direct {
        "d has length 0 and there is no W; expected hidden units or direct connections"
    } else {
        return Ok(shape);
    };
    Err(PyValueError::new_err(format!("{name}: {problem}")))
}

/// Checks the shapes of all parameters.
pub fn check_shapes<T: Number>(shape: &Shape, set: &Params<Option<Named<'_, T>>>) -> PyResult<()> {
    let (v, rows) = (Some(shape.vocab_size), Some(shape.tokens().len()));
    let h = Some(shape.hidden_dim);
    let (m, inputs) = (Some(shape.embedding_dim), Some(shape.inputs()));
    let check = |array: &Option<Named<'_, T>>, expected: &[Option<usize>], letters| {
        array.as_ref().map_or(Ok(()), |array| array.expect_shape(expected, letters))
    };
    check(&set.C, &[if shape.tied { rows } else { v }, m], "(V, m)")?;
    check(&set.d, &[h], "(h,)")?;
    check(&set.H, &[h, inputs], "(h, c·m)")?;
    check(&set.U, &[rows, h], "(V, h)")?;
    check(&set.b, &[rows], "(V,)")?;
    check(&set.W, &[rows, inputs], "(V, c·m)")?;
    check(&set.P, &[m, h], "(m, h)")
}

/// Parses the dropout probabilities of the embedding and of the hidden layer.
pub fn dropout(given: Option<&Bound<'_, PyAny>>) -> PyResult<Dropout> {
    let Some(given) = given else {
        return Ok(Dropout::default());
    };
    let Ok((embedding, hidden)) = given.extract::<(f64, f64)>() else {
        let message =
            format!("dropout is {}; expected a pair of numbers", shorten(given.as_borrowed()));
        let pair = given.cast::<PyTuple>().is_ok_and(|given| given.len() == 2);
        return Err(if pair || !given.is_instance_of::<PyTuple>() {
            PyTypeError::new_err(message)
        } else {
            PyValueError::new_err(message)
        });
    };
    Ok(Dropout {
        embedding: number("dropout[0]", embedding, 0.0, 1.0)?,
        hidden: number("dropout[1]", hidden, 0.0, 1.0)?,
    })
}

/// Returns true if the parameters are float64. All others are read as float32, which raises
/// `TypeError` for other dtypes.
pub fn is_double(params: &Bound<'_, PyAny>) -> PyResult<bool> {
    let Ok(dict) = params.cast::<PyDict>() else {
        return Err(args::not_a("params", params, "a dict of arrays"));
    };
    let Some(array) = dict.get_item("C")? else {
        return Err(PyValueError::new_err("params has no 'C'"));
    };
    let py = params.py();
    Ok(array
        .cast::<PyUntypedArray>()
        .is_ok_and(|array| array.dtype().is_equiv_to(&dtype::<f64>(py))))
}

/// The arrays of contexts and targets.
pub struct Examples<'py> {
    pub inputs: Named<'py, u32>,
    pub targets: Named<'py, u32>,
}

impl<'py> Examples<'py> {
    /// Parses both.
    pub fn parse(
        inputs: &Bound<'py, PyAny>,
        targets: &Bound<'py, PyAny>,
    ) -> PyResult<Examples<'py>> {
        let inputs = array::<u32>("inputs", inputs)?;
        let targets = array::<u32>("targets", targets)?;
        if inputs.array.ndim() == 1 {
            targets.expect_shape(&[None], "(N,)")?;
            if inputs.axis(0) < targets.axis(0) {
                let (got, least) = (inputs.axis(0), targets.axis(0));
                let message = format!("inputs has {got} ids; expected N + c - 1, at least {least}");
                return Err(PyValueError::new_err(message));
            }
        } else {
            context_of(&inputs)?;
            targets.expect_shape(&[Some(inputs.axis(0))], "(N,)")?;
        }
        if targets.axis(0) == 0 {
            return Err(PyValueError::new_err("inputs has no rows; expected at least one example"));
        }
        Ok(Examples { inputs, targets })
    }

    /// Returns the number of examples.
    pub fn len(&self) -> usize {
        self.targets.axis(0)
    }

    /// Returns the shape of a model that has contexts as long as these; see [`shape`].
    pub fn shape<T: Number>(
        &self,
        set: &Params<Option<Named<'_, T>>>,
        sharded: Option<(usize, Shard)>,
    ) -> PyResult<Shape> {
        let context = match self.inputs.array.ndim() {
            1 => self.inputs.axis(0) + 1 - self.len(),
            _ => self.inputs.axis(1),
        };
        shape("params", set, context, sharded)
    }
}

/// Returns the length of the contexts in an array of them.
pub fn context_of(ids: &Named<'_, u32>) -> PyResult<usize> {
    ids.expect_shape(&[None, None], "(N, c)")?;
    let name = &ids.name;
    match ids.axis(1) {
        0 => Err(PyValueError::new_err(format!("{name} has contexts of length 0; expected c ≥ 1"))),
        context => Ok(context),
    }
}

/// Borrows all arrays, by [`Named::read`] or [`Named::write`].
pub fn borrow<'py, T: Element, B>(
    set: &Params<Option<Named<'py, T>>>,
    by: impl Fn(&Named<'py, T>) -> PyResult<B>,
) -> PyResult<Params<Option<B>>> {
    set.as_ref().map(|array| array.as_ref().map(&by).transpose()).transpose()
}

/// Returns the numbers of borrowed arrays; empty where there is no array.
pub fn slices<'a, T: Element>(
    set: &'a Params<Option<Reading<'_, T, IxDyn>>>,
) -> PyResult<Params<&'a [T]>> {
    let slices = set.as_ref().map(|array| match array {
        Some(array) => array.as_slice(),
        None => Ok(&[][..]),
    });
    Ok(slices.transpose()?)
}

/// Returns borrowed examples as the core reads them.
pub fn dataset<'a>(
    inputs: &'a Reading<'_, u32, IxDyn>,
    targets: &'a Reading<'_, u32, IxDyn>,
) -> PyResult<Dataset<'a>> {
    Ok(Dataset { inputs: inputs.as_slice()?, targets: targets.as_slice()? })
}
