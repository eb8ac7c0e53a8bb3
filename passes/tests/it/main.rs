//! Integration tests of the passes: one binary, one module per pass.

#[cfg(test)]
mod autodiff;
#[cfg(test)]
mod fuse;
#[cfg(test)]
mod lower;
#[cfg(test)]
mod schedule;
