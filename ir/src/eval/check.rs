//! Decisions: read out, imposed, checked; and how much an output moves when inputs are rounded.
