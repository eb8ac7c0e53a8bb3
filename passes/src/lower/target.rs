//! What lowering knows about a machine.

/// A machine, as far as kernels are shaped by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Size of a vector register in bytes.
    pub vector_bytes: u32,
    /// Number of vector registers.
    pub registers: u32,
    /// Number of vector registers that hold sums of a product: fewer than there are, since operands need some, and since a code
    /// generator that moves sums between registers (for want of an instruction that adds in place) needs room for that.
    pub accumulators: u32,
    /// The same in loops of few steps, where bringing sums back to their registers is a larger part of the work.
    pub accumulators_short: u32,
    /// First-level data cache of a core, in bytes.
    pub l1_bytes: u64,
    /// Number of lines that the first-level cache holds of addresses at equal distance from each other (its associativity).
    pub l1_ways: u64,
    /// Second-level cache of a core, in bytes.
    pub l2_bytes: u64,
    /// Number of worker threads.
    pub threads: u32,
}

impl Default for Target {
    /// 128-bit vectors in 16 registers, which is what the embedded backend generates on x86-64. Ten accumulators were measured to
    /// be best there in loops of 8 steps or more, eight in shorter ones; with twelve it spills.
    fn default() -> Self {
        Self {
            vector_bytes: 16,
            registers: 16,
            accumulators: 10,
            accumulators_short: 8,
            l1_bytes: 32 << 10,
            l1_ways: 8,
            l2_bytes: 512 << 10,
            threads: 1,
        }
    }
}

/// Shape of the register block of a product: `rows` accumulators of `lanes` lanes each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Rows.
    pub rows: u32,
    /// Lanes of one accumulator; a multiple of 4.
    pub lanes: u16,
}

impl Target {
    /// Do `count` elements at a distance of `stride` bytes drive each other out of the first-level cache, although they are few?
    /// They share sets if the distance has a large common divisor with the size of a way.
    #[must_use]
    pub fn collides(&self, stride: u64, count: u64) -> bool {
        const LINE: u64 = 64;
        let way = self.l1_bytes / self.l1_ways.max(1);
        if stride <= LINE || way == 0 {
            return false;
        }
        let (mut a, mut b) = (way, stride % way);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        // `a` is the distance of the sets that are used.
        count > way / a.max(LINE) * self.l1_ways
    }

    /// Number of registers that a vector of `lanes` lanes of `bytes` bytes takes.
    fn registers_of(&self, lanes: u16, bytes: u32) -> u32 {
        (u32::from(lanes) * bytes).div_ceil(self.vector_bytes.max(1)).max(1)
    }

    /// The register block for elements of `bytes` bytes: at most `lanes` lanes wide and `rows` high, in a loop with `steps` steps
    /// written out.
    ///
    /// Two registers of lanes share each splat operand; as many rows as fit beside them, with one register for the splat.
    /// Spilling a single accumulator puts a store and a load on the critical chain, so the count is strict.
    #[must_use]
    pub fn block(&self, bytes: u32, lanes: u16, rows: u32, steps: u32) -> Block {
        const LONG: u32 = 8;
        let quantum = 4u16;
        let wide = u16::try_from(2 * self.vector_bytes / bytes.max(1)).unwrap_or(quantum).max(quantum);
        let lanes = lanes.min(wide).max(1);
        let per_row = self.registers_of(lanes, bytes);
        let accumulators = if steps >= LONG { self.accumulators } else { self.accumulators_short };
        let free = self.registers.saturating_sub(per_row + 1).min(accumulators);
        let fit = (free / per_row).max(1);
        // Equal blocks waste less than full blocks and a small rest.
        let blocks = rows.max(1).div_ceil(fit);
        Block { rows: rows.max(1).div_ceil(blocks), lanes }
    }
}
