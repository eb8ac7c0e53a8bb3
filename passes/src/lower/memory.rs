//! Addresses of buffers, tables and tile memory; loads and stores of one vector.
//!
//! Memory outside a buffer is never touched: a false guard and the lanes behind the end of the lane axis mask the access,
//! or branch around it where the guard is the same in all lanes.

use weft_ir::kernel::{Access, Literal, Place};
use weft_ir::loops::{self, Elem, Pattern, Reference, Ty, Value};

use super::emit::{Emitter, Storage};
use super::error::Emit;
use super::int::Int;
use super::point::{Point, Span};

/// Distance of neighbouring lanes in memory.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// So many elements; 0: all lanes are one element.
    Const(i64),
    /// A number of elements known at run time.
    Dyn(Value),
    /// Each lane has its own index.
    Lanes(Vec<Value>),
}

/// Where the lanes of an access lie.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) ptr: Value,
    pub(super) base: Value,
    pub(super) step: Step,
}

impl Emitter<'_> {
    /// Pointer and strides of what an access names.
    pub(super) fn place_of(&mut self, access: &Access) -> Emit<(Value, Vec<Value>)> {
        match access.place {
            Place::Buffer(id) => {
                let arg = self.buffer(id)?;
                Ok((arg.ptr, arg.strides.clone()))
            }
            Place::Scratch(id) => {
                let table = self.table(id)?.clone();
                Ok((table.ptr, table.strides.iter().map(|s| self.kb.int(*s)).collect()))
            }
        }
    }

    /// The address of an access at a point.
    pub(super) fn address(&mut self, access: &Access, p: &Point) -> Emit<Address> {
        let (ptr, strides) = self.place_of(access)?;
        let mut base = self.kb.int(0);
        let mut step = Step::Const(0);
        for (e, stride) in access.index.iter().zip(strides) {
            match self.int(e, p)? {
                Int::Affine(x, i) => {
                    let x = self.kb.mul(x, stride);
                    base = self.kb.add(base, x);
                    if i != 0 {
                        step = self.add_step(step, i, stride);
                    }
                }
                Int::Lanes(lanes) => {
                    let lanes: Vec<Value> = lanes.into_iter().map(|x| self.kb.mul(x, stride)).collect();
                    let before = self.step_lanes(&step, lanes.len());
                    step = Step::Lanes(lanes.into_iter().zip(before).map(|(x, y)| self.kb.add(x, y)).collect());
                }
            }
        }
        Ok(Address { ptr, base, step })
    }

    fn add_step(&mut self, step: Step, i: i64, stride: Value) -> Step {
        let more = self.kb.mul_int(stride, i);
        match step {
            Step::Const(before) => match self.kb.known_int(more) {
                Some(n) => Step::Const(before.wrapping_add(n)),
                None => Step::Dyn(self.kb.add_int(more, before)),
            },
            Step::Dyn(before) => Step::Dyn(self.kb.add(before, more)),
            Step::Lanes(lanes) => {
                let lanes = (0i64..).zip(lanes).map(|(lane, x)| {
                    let offset = self.kb.mul_int(more, lane);
                    self.kb.add(x, offset)
                });
                Step::Lanes(lanes.collect())
            }
        }
    }

    fn step_lanes(&mut self, step: &Step, width: usize) -> Vec<Value> {
        match step {
            Step::Lanes(lanes) => lanes.clone(),
            Step::Const(n) => (0i64..).take(width).map(|lane| self.kb.int(n.wrapping_mul(lane))).collect(),
            Step::Dyn(n) => (0i64..).take(width).map(|lane| self.kb.mul_int(*n, lane)).collect(),
        }
    }

    /// The address of an element of a stored value.
    pub(super) fn tile_address(&mut self, storage: &Storage, p: &Point) -> Emit<Address> {
        let mut base = self.kb.int(0);
        let mut step = 0;
        for (axis, stride) in &storage.strides {
            let at = p.get(*axis).ok_or("an axis is not bound")?;
            let at = self.kb.mul_int(at, *stride);
            base = self.kb.add(base, at);
            if p.span.is_some_and(|s| s.axis == *axis) {
                step = *stride;
            }
        }
        Ok(Address { ptr: storage.ptr, base, step: Step::Const(step) })
    }

    /// Loads from an address: one element if all lanes are the same element and the mask is no vector, else a vector.
    /// Where the mask is false memory is not touched and the result is `otherwise` (nothing in particular without one).
    pub(super) fn load_from(
        &mut self,
        address: &Address,
        span: Option<Span>,
        mask: Option<Value>,
        otherwise: Option<Literal>,
    ) -> Emit<Value> {
        let elem = self.kb.ty(address.ptr).elem().in_register();
        let other = otherwise.map(|x| self.literal(x, elem));
        let zero = self.kb.zero(Ty::scalar(elem));
        let vector = !matches!(address.step, Step::Const(0)) || mask.is_some_and(|m| self.kb.ty(m).is_vector());
        let span = span.filter(|_| vector);
        if let Some(mask) = mask.filter(|m| !self.kb.ty(*m).is_vector()) {
            // The same condition in all lanes: a branch, so that the access itself is plain.
            let width = span.map_or(1, |s| s.width);
            let start = other.unwrap_or(zero);
            let start = self.kb.splat(start, width);
            let var = self.kb.var("loaded", start);
            self.if_then(mask, |e| {
                let x = e.load_from(address, span, None, None)?;
                e.kb.set(var, x);
                Ok(())
            })?;
            return Ok(self.kb.get(var));
        }
        let Some(span) = span else {
            let place = self.kb.at(address.ptr, address.base);
            return Ok(self.kb.load(place, 1));
        };
        let reach = match address.step {
            Step::Const(0) => mask,
            _ => self.reach(mask, Some(span)),
        };
        let loaded = match &address.step {
            Step::Lanes(lanes) => {
                let lanes = lanes.clone();
                self.load_lanes(address, &lanes, span, mask, elem)?
            }
            step => {
                let place = self.kb.at(address.ptr, address.base);
                let pattern = self.pattern(step);
                self.kb.load_as(Reference { place, pattern, mask: reach }, span.width)
            }
        };
        Ok(match (mask, other) {
            (Some(mask), Some(other)) if !otherwise.is_some_and(is_zero) => self.kb.select(mask, loaded, other),
            _ => loaded,
        })
    }

    fn pattern(&mut self, step: &Step) -> Pattern {
        match step {
            Step::Const(0) | Step::Lanes(_) => Pattern::Splat,
            Step::Const(1) => Pattern::Contiguous,
            Step::Const(n) => Pattern::Strided(self.kb.int(*n)),
            Step::Dyn(n) => Pattern::Strided(*n),
        }
    }

    /// A gather, lane by lane: indices are 64 bits wide, which no vector of indices is.
    fn load_lanes(
        &mut self,
        address: &Address,
        lanes: &[Value],
        span: Span,
        mask: Option<Value>,
        elem: Elem,
    ) -> Emit<Value> {
        let zero = self.kb.zero(Ty::scalar(elem));
        let mut found = vec![zero; usize::from(span.width)];
        for (lane, (slot, x)) in (0u16..).zip(found.iter_mut().zip(lanes)).take(usize::from(span.valid)) {
            let at = self.kb.add(address.base, *x);
            let place = self.kb.at(address.ptr, at);
            *slot = match mask {
                None => self.kb.load(place, 1),
                Some(mask) => {
                    let bit = self.kb.extract(mask, lane);
                    let var = self.kb.var("loaded", zero);
                    self.if_then(bit, |e| {
                        let x = e.kb.load(place, 1);
                        e.kb.set(var, x);
                        Ok(())
                    })?;
                    self.kb.get(var)
                }
            };
        }
        Ok(self.assemble(&found, elem))
    }

    /// Stores to an address where the mask is true. A value that is the same in all lanes is spread over them if the address
    /// has lanes; a value with lanes at one address leaves its last valid lane.
    pub(super) fn store_to(
        &mut self,
        address: &Address,
        span: Option<Span>,
        mask: Option<Value>,
        x: Value,
    ) -> Emit<()> {
        if let Some(mask) = mask.filter(|m| !self.kb.ty(*m).is_vector()) {
            return self.if_then(mask, |e| e.store_to(address, span, None, x));
        }
        let place = self.kb.at(address.ptr, address.base);
        match (&address.step, span) {
            (Step::Const(0), _) | (_, None) => {
                if self.kb.ty(x).is_vector() || mask.is_some() {
                    return Err("several lanes are stored to one element".into());
                }
                self.kb.store(place, x);
            }
            (Step::Lanes(lanes), Some(span)) => {
                let lanes = lanes.clone();
                for (lane, offset) in (0u16..).zip(&lanes).take(usize::from(span.valid)) {
                    let at = self.kb.add(address.base, *offset);
                    let place = self.kb.at(address.ptr, at);
                    let element = if self.kb.ty(x).is_vector() { self.kb.extract(x, lane) } else { x };
                    match mask {
                        None => self.kb.store(place, element),
                        Some(mask) => {
                            let bit = self.kb.extract(mask, lane);
                            self.if_then(bit, |e| {
                                e.kb.store(place, element);
                                Ok(())
                            })?;
                        }
                    }
                }
            }
            (step, Some(span)) => {
                let pattern = self.pattern(step);
                let mask = self.reach(mask, Some(span));
                let x = if self.kb.ty(x).is_vector() { x } else { self.kb.splat(x, span.width) };
                self.kb.store_as(Reference { place, pattern, mask }, x);
            }
        }
        Ok(())
    }

    /// Stores to tile memory, whose padding may be written.
    pub(super) fn store_tile(&mut self, storage: &Storage, p: &Point, x: Value) -> Emit<()> {
        let address = self.tile_address(storage, p)?;
        match (&address.step, p.span) {
            (Step::Const(1), Some(span)) => {
                let place = self.kb.at(address.ptr, address.base);
                let x = if self.kb.ty(x).is_vector() { x } else { self.kb.splat(x, span.width) };
                self.kb.store(place, x);
                Ok(())
            }
            (Step::Const(0), _) if self.kb.ty(x).is_vector() => Err("a tile value lacks the lane axis".into()),
            _ => self.store_to(&address, p.span, None, x),
        }
    }

    /// Loads from tile memory, whose padding may be read if it is contiguous.
    pub(super) fn load_tile(&mut self, storage: &Storage, p: &Point) -> Emit<Value> {
        let address = self.tile_address(storage, p)?;
        match (&address.step, p.span) {
            (Step::Const(1), Some(span)) => {
                let place = self.kb.at(address.ptr, address.base);
                Ok(self.kb.load(place, span.width))
            }
            _ => self.load_from(&address, p.span, None, None),
        }
    }
}

fn is_zero(x: Literal) -> bool {
    match x {
        Literal::Float(x) => x.to_bits() == 0,
        Literal::Int(n) => n == 0,
        Literal::Bool(b) => !b,
    }
}

/// Lanes of vectors come in multiples of this.
pub(super) const QUANTUM: i64 = loops::LANE_QUANTUM as i64;
