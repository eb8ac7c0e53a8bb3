//! Causal attention and its gradients in f64, for some rows: what generated code is compared with.

/// Tensors of causal attention, each `[T][H][D]`, and what forward has computed of them.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Number of heads H.
    pub heads: usize,
    /// Extent D of each head.
    pub head: usize,
    /// Queries.
    pub q: &'a [f32],
    /// Keys.
    pub k: &'a [f32],
    /// Values.
    pub v: &'a [f32],
    /// Cotangent of the output.
    pub g: &'a [f32],
}

/// What forward gives for one row of one head.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The output.
    pub o: Vec<f64>,
    /// Logarithm of the sum of the exponentials of the scores.
    pub lse: f64,
}

impl Attention<'_> {
    /// Number of tokens.
    #[must_use]
    pub fn length(&self) -> usize {
        self.q.len() / (self.heads * self.head).max(1)
    }

    fn row<'x>(&self, x: &'x [f32], h: usize, t: usize) -> &'x [f32] {
        &x[(t * self.heads + h) * self.head..][..self.head]
    }

    fn score(&self, h: usize, t: usize, j: usize) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let scale = 1.0 / (self.head as f64).sqrt();
        scale * dot(self.row(self.q, h, t), self.row(self.k, h, j))
    }

    /// One row of the output.
    #[must_use]
    pub fn forward(&self, h: usize, t: usize) -> Row {
        let scores: Vec<f64> = (0..=t).map(|j| self.score(h, t, j)).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lse = max + scores.iter().map(|s| (s - max).exp()).sum::<f64>().ln();
        let mut o = vec![0.0; self.head];
        for (j, s) in scores.iter().enumerate() {
            add(&mut o, (s - lse).exp(), self.row(self.v, h, j));
        }
        Row { o, lse }
    }

    /// One row of the gradient of the queries.
    #[must_use]
    pub fn queries(&self, h: usize, t: usize) -> Vec<f64> {
        let row = self.forward(h, t);
        let mut dq = vec![0.0; self.head];
        for j in 0..=t {
            add(&mut dq, self.score_gradient(h, t, j, &row), self.row(self.k, h, j));
        }
        self.scaled(dq)
    }

    /// One row of the gradients of keys and of values, of rows of the same head that forward gives.
    #[must_use]
    pub fn keys(&self, h: usize, j: usize, rows: &[Row]) -> (Vec<f64>, Vec<f64>) {
        let (mut dk, mut dv) = (vec![0.0; self.head], vec![0.0; self.head]);
        for (t, row) in rows.iter().enumerate().skip(j) {
            add(&mut dk, self.score_gradient(h, t, j, row), self.row(self.q, h, t));
            add(&mut dv, (self.score(h, t, j) - row.lse).exp(), self.row(self.g, h, t));
        }
        (self.scaled(dk), dv)
    }

    fn score_gradient(&self, h: usize, t: usize, j: usize, row: &Row) -> f64 {
        let g = self.row(self.g, h, t);
        let delta: f64 = g.iter().zip(&row.o).map(|(g, o)| f64::from(*g) * o).sum();
        (self.score(h, t, j) - row.lse).exp() * (dot(g, self.row(self.v, h, j)) - delta)
    }

    fn scaled(&self, mut x: Vec<f64>) -> Vec<f64> {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let root = (self.head as f64).sqrt();
        x.iter_mut().for_each(|x| *x /= root);
        x
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// `sum += weight * x`
fn add(sum: &mut [f64], weight: f64, x: &[f32]) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += weight * f64::from(*x);
    }
}
