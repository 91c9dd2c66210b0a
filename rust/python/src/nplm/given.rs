//! Arrays and numbers as Python gives them: everything is checked before anything is changed.

use fastgrad_core::linalg::Float;
use fastgrad_core::nplm::dropout::Dropout;
use fastgrad_core::nplm::{Params, Shape};
use numpy::{
    BorrowError, Element, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn,
    PyReadwriteArrayDyn, PyUntypedArray, PyUntypedArrayMethods, dtype,
};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// An array and what to call it in messages.
pub struct Named<'py, T: Element> {
    pub name: String,
    pub array: Bound<'py, PyArrayDyn<T>>,
}

/// `f32` or `f64`.
pub trait Number: Float + Element {}
impl Number for f32 {}
impl Number for f64 {}

/// An array of numbers of this type, in C order; `TypeError` or `ValueError` otherwise.
pub fn array<'py, T: Element>(
    name: impl Into<String>,
    object: &Bound<'py, PyAny>,
) -> PyResult<Named<'py, T>> {
    let name = name.into();
    let untyped = untyped(&name, object)?;
    let Ok(array) = object.cast::<PyArrayDyn<T>>() else {
        let (got, expected) = (untyped.dtype(), dtype::<T>(object.py()));
        let message = format!("{name} has dtype {got}; expected {expected}");
        return Err(PyTypeError::new_err(message));
    };
    if !array.is_c_contiguous() || !array.is_aligned() {
        let message = format!("{name} is not C-contiguous; pass numpy.ascontiguousarray(…)");
        return Err(PyValueError::new_err(message));
    }
    Ok(Named { name, array: array.clone() })
}

fn untyped<'a, 'py>(
    name: &str,
    object: &'a Bound<'py, PyAny>,
) -> PyResult<&'a Bound<'py, PyUntypedArray>> {
    object.cast::<PyUntypedArray>().map_err(|_| {
        let class = object.get_type();
        PyTypeError::new_err(format!("{name} is of type {class}; expected a numpy array"))
    })
}

impl<'py, T: Element> Named<'py, T> {
    /// Checks the shape; `None` stands for any length.
    pub fn expect_shape(&self, expected: &[Option<usize>], letters: &str) -> PyResult<()> {
        let shape = self.array.shape();
        let fits = shape.len() == expected.len()
            && shape.iter().zip(expected).all(|(n, e)| e.is_none_or(|e| e == *n));
        if fits {
            return Ok(());
        }
        let show = |n: &Option<usize>| n.map_or_else(|| "any".to_string(), |n| n.to_string());
        let wanted: Vec<String> = expected.iter().map(show).collect();
        let (name, wanted) = (&self.name, wanted.join(", "));
        let message = format!("{name} has shape {shape:?}; expected {letters} = [{wanted}]");
        Err(PyValueError::new_err(message))
    }

    /// The length of an axis; 0 where there is none.
    pub fn axis(&self, axis: usize) -> usize {
        self.array.shape().get(axis).copied().unwrap_or_default()
    }

    /// For reading, as long as nobody writes.
    pub fn read(&self) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
        self.array.try_readonly().map_err(|error| self.refuse(&error))
    }

    /// For writing, as long as nobody else reads or writes.
    pub fn write(&self) -> PyResult<PyReadwriteArrayDyn<'py, T>> {
        self.array.try_readwrite().map_err(|error| self.refuse(&error))
    }

    fn refuse(&self, error: &BorrowError) -> PyErr {
        let name = &self.name;
        PyValueError::new_err(match error {
            BorrowError::NotWriteable => format!("{name} is read-only; expected a writeable array"),
            _ => format!("{name} is in use by another call that changes it, or shares its memory"),
        })
    }

    /// Name, and first and last address.
    fn range(&self) -> (&str, usize, usize) {
        let start = self.array.data() as usize;
        (&self.name, start, start + self.array.len() * size_of::<T>())
    }
}

/// The model's parameters in a dict, each array checked for itself.
pub fn set<'py, T: Number>(
    name: &str,
    given: &Bound<'py, PyAny>,
) -> PyResult<Params<Option<Named<'py, T>>>> {
    let Ok(given) = given.cast::<PyDict>() else {
        let class = given.get_type();
        let message = format!("{name} is of type {class}; expected a dict of arrays");
        return Err(PyTypeError::new_err(message));
    };
    for key in given.keys() {
        let known = key
            .cast::<PyString>()
            .is_ok_and(|key| ["C", "H", "d", "U", "b", "W", "P"].iter().any(|known| key == known));
        if !known {
            let message =
                format!("{name} has the key {}; expected C, H, d, U or P, b and W", key.repr()?);
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

/// The sizes of a model, from its parameters and the length of its contexts.
pub fn shape<T: Number>(
    name: &str,
    set: &Params<Option<Named<'_, T>>>,
    context: usize,
) -> PyResult<Shape> {
    let length = |array: &Option<Named<'_, T>>, axis| array.as_ref().map_or(0, |a| a.axis(axis));
    let shape = Shape {
        vocabulary: length(&set.C, 0),
        context,
        features: length(&set.C, 1),
        hidden: length(&set.d, 0),
        direct: set.W.is_some(),
        tied: set.P.is_some(),
    };
    check_shapes(&shape, set)?;
    let problem = if shape.vocabulary == 0 {
        "C has no rows; expected one for each symbol"
    } else if shape.features == 0 {
        "C has no columns; expected at least one feature"
    } else if shape.hidden == 0 && !shape.direct {
        "d has length 0 and there is no W; expected hidden units or direct connections"
    } else {
        return Ok(shape);
    };
    Err(PyValueError::new_err(format!("{name}: {problem}")))
}

/// Checks the shapes of all parameters.
pub fn check_shapes<T: Number>(shape: &Shape, set: &Params<Option<Named<'_, T>>>) -> PyResult<()> {
    let (v, h) = (Some(shape.vocabulary), Some(shape.hidden));
    let (m, inputs) = (Some(shape.features), Some(shape.inputs()));
    let check = |array: &Option<Named<'_, T>>, expected: &[Option<usize>], letters| {
        array.as_ref().map_or(Ok(()), |array| array.expect_shape(expected, letters))
    };
    check(&set.C, &[v, m], "(V, m)")?;
    check(&set.d, &[h], "(h,)")?;
    check(&set.H, &[h, inputs], "(h, c·m)")?;
    check(&set.U, &[v, h], "(V, h)")?;
    check(&set.b, &[v], "(V,)")?;
    check(&set.W, &[v, inputs], "(V, c·m)")?;
    check(&set.P, &[m, h], "(m, h)")
}

/// The address ranges of arrays that must not share memory.
#[derive(Default)]
pub struct Ranges<'a>(Vec<(&'a str, usize, usize)>);

impl<'a> Ranges<'a> {
    /// Adds an array.
    pub fn add<T: Element>(&mut self, array: &'a Named<'_, T>) {
        if array.array.len() > 0 {
            self.0.push(array.range());
        }
    }

    /// `ValueError` if two of them share memory.
    pub fn check(mut self) -> PyResult<()> {
        self.0.sort_by_key(|&(_, start, _)| start);
        for pair in self.0.windows(2) {
            if let [(one, _, end), (other, start, _)] = pair
                && start < end
            {
                let message = format!("{one} and {other} share memory; expected separate arrays");
                return Err(PyValueError::new_err(message));
            }
        }
        Ok(())
    }
}

/// A whole number of at least `least`.
pub fn whole(name: &str, given: &Bound<'_, PyAny>, least: u64) -> PyResult<u64> {
    match given.extract::<u64>() {
        Ok(number) if number >= least => Ok(number),
        Err(error) if !error.is_instance_of::<PyOverflowError>(given.py()) => {
            let shown = given.repr()?;
            Err(PyTypeError::new_err(format!("{name} is {shown}; expected an int")))
        }
        _ => {
            let shown = given.repr()?;
            let message = format!("{name} is {shown}; expected an int from {least} to 2**64 - 1");
            Err(PyValueError::new_err(message))
        }
    }
}

/// A whole number of at least 1 that counts things in memory.
pub fn index(name: &str, given: &Bound<'_, PyAny>) -> PyResult<usize> {
    let number = whole(name, given, 1)?;
    usize::try_from(number).map_err(|_| PyValueError::new_err(format!("{name} is {number}")))
}

/// A finite number from `least` on, and below `below`.
pub fn number(name: &str, given: f64, least: f64, below: f64) -> PyResult<f64> {
    if given.is_finite() && given >= least && given < below {
        return Ok(given);
    }
    let expected = if below.is_finite() {
        format!("at least {least} and below {below}")
    } else {
        format!("of at least {least}")
    };
    Err(PyValueError::new_err(format!("{name} is {given:?}; expected a finite number {expected}")))
}

/// Shares of features that are left out: of the embedding and of the hidden layer.
pub fn dropout(given: Option<&Bound<'_, PyAny>>) -> PyResult<Dropout> {
    let Some(given) = given else {
        return Ok(Dropout::default());
    };
    let Ok((embedding, hidden)) = given.extract::<(f64, f64)>() else {
        let message = format!("dropout is {}; expected a pair of numbers", given.repr()?);
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

/// Whether the parameters are doubles; `TypeError` if they are no numbers that models are made of.
pub fn is_double(params: &Bound<'_, PyAny>) -> PyResult<bool> {
    let Ok(dict) = params.cast::<PyDict>() else {
        let class = params.get_type();
        let message = format!("params is of type {class}; expected a dict of arrays");
        return Err(PyTypeError::new_err(message));
    };
    let Some(array) = dict.get_item("C")? else {
        return Err(PyValueError::new_err("params has no 'C'"));
    };
    // Whatever is no array of doubles is measured against single precision, and refused there.
    let py = params.py();
    Ok(array
        .cast::<PyUntypedArray>()
        .is_ok_and(|array| array.dtype().is_equiv_to(&dtype::<f64>(py))))
}

/// Contexts and targets.
pub struct Examples<'py> {
    pub inputs: Named<'py, u32>,
    pub targets: Named<'py, u32>,
}

impl<'py> Examples<'py> {
    pub fn read(
        inputs: &Bound<'py, PyAny>,
        targets: &Bound<'py, PyAny>,
    ) -> PyResult<Examples<'py>> {
        let inputs = array::<u32>("inputs", inputs)?;
        let targets = array::<u32>("targets", targets)?;
        context_of(&inputs)?;
        targets.expect_shape(&[Some(inputs.axis(0))], "(N,)")?;
        if targets.axis(0) == 0 {
            return Err(PyValueError::new_err("inputs has no rows; expected at least one example"));
        }
        Ok(Examples { inputs, targets })
    }

    pub fn len(&self) -> usize {
        self.targets.axis(0)
    }

    pub fn shape<T: Number>(&self, set: &Params<Option<Named<'_, T>>>) -> PyResult<Shape> {
        shape("params", set, self.inputs.axis(1))
    }
}

/// The length of the contexts in an array of them.
pub fn context_of(ids: &Named<'_, u32>) -> PyResult<usize> {
    ids.expect_shape(&[None, None], "(N, c)")?;
    let name = &ids.name;
    match ids.axis(1) {
        0 => Err(PyValueError::new_err(format!("{name} has contexts of length 0; expected c ≥ 1"))),
        context => Ok(context),
    }
}
