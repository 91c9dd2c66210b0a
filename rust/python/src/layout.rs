//! Lays out graphs for drawing.

use fastgrad_core::layout::{Gaps, Point, layout as arrange};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::guard;
use crate::memory::with_capacity;
use crate::run::{Cost, run};

/// The nanoseconds that a node or an edge takes in a large graph.
const AN_ITEM: u64 = 20_000;

/// Centers of nodes, routes of edges, width and height, and the number of crossings.
type Drawn = (Vec<Point>, Vec<Vec<Point>>, Point, u64);

/// Lay out a graph from left to right, given nodes as (width, height) and edges as pairs of nodes.
#[pyfunction]
#[pyo3(signature = (sizes, edges, layer_gap, node_gap, /))]
pub fn layout(
    py: Python<'_>,
    sizes: &Bound<'_, PyList>,
    edges: &Bound<'_, PyList>,
    layer_gap: f64,
    node_gap: f64,
) -> PyResult<Drawn> {
    guard(|| {
        let mut boxes: Vec<Point> = with_capacity(sizes.len())?;
        for size in sizes {
            boxes.push(size.extract()?);
        }
        let mut pairs: Vec<(u32, u32)> = with_capacity(edges.len())?;
        for edge in edges {
            pairs.push(edge.extract()?);
        }
        let gaps = Gaps { layers: layer_gap, nodes: node_gap };
        let cost = Cost::of(boxes.len() + pairs.len(), AN_ITEM);
        let drawn = run(py, cost, None, |progress| arrange(&boxes, &pairs, gaps, progress))?;
        Ok((drawn.centers, drawn.routes, drawn.size, drawn.crossings))
    })
}
