//! Operands of operations and references, for passes that follow or replace them.

use super::kernel::{Op, Pattern, Place, Reference, Value};

impl Place {
    fn visit(&mut self, f: &mut impl FnMut(&mut Value)) {
        f(&mut self.ptr);
        if let Some(index) = &mut self.index {
            f(index);
        }
    }

    /// The place with every value replaced.
    #[must_use]
    pub fn map_values(mut self, mut f: impl FnMut(Value) -> Value) -> Self {
        self.visit(&mut |v| *v = f(*v));
        self
    }
}

impl Reference {
    fn visit(&mut self, f: &mut impl FnMut(&mut Value)) {
        self.place.visit(f);
        match &mut self.pattern {
            Pattern::Contiguous | Pattern::Splat => {}
            Pattern::Strided(v) | Pattern::Indexed(v) => f(v),
        }
        if let Some(mask) = &mut self.mask {
            f(mask);
        }
    }

    /// The reference with every value replaced.
    #[must_use]
    pub fn map_values(mut self, mut f: impl FnMut(Value) -> Value) -> Self {
        self.visit(&mut |v| *v = f(*v));
        self
    }
}

impl Op {
    /// Calls `f` on every operand.
    fn visit(&mut self, f: &mut impl FnMut(&mut Value)) {
        match self {
            Self::Const(_) | Self::Get(_) | Self::Iota => {}
            Self::Unary(_, a)
            | Self::Convert(a)
            | Self::Bitcast(a)
            | Self::Splat(a)
            | Self::Extract(a, _)
            | Self::Reduce(_, a) => f(a),
            Self::Binary(_, a, b)
            | Self::Compare(_, a, b)
            | Self::Insert(a, b, _)
            | Self::Shuffle(a, b, _)
            | Self::Advance(a, b) => {
                f(a);
                f(b);
            }
            Self::Fma(a, b, c) | Self::Select(a, b, c) => {
                f(a);
                f(b);
                f(c);
            }
            Self::Load(reference) => reference.visit(f),
            Self::Call(_, args) => args.iter_mut().for_each(f),
        }
    }

    /// The operation with every operand replaced.
    #[must_use]
    pub fn map_values(mut self, mut f: impl FnMut(Value) -> Value) -> Self {
        self.visit(&mut |v| *v = f(*v));
        self
    }

    /// The operands, in order.
    pub fn for_each_value(&self, mut f: impl FnMut(Value)) {
        self.clone().visit(&mut |v| f(*v));
    }

    /// Does the result depend on nothing but the operands? Not so for loads and contents of variables.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        !matches!(self, Self::Load(_) | Self::Get(_))
    }
}
