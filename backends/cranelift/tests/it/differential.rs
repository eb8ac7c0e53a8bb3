//! Random kernels: interpreter against machine code, text against what it was printed from.

use std::sync::OnceLock;

use proptest::prelude::*;
use weft_ir::loops::{parse, tidy, verify};
use weft_runtime::Pool;

use crate::random;
use crate::run::{assert_agree, assert_same, interpreted};

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::new(3).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn machine_code_does_what_the_interpreter_does(
        choices in prop::collection::vec(any::<u32>(), 20..400),
        seed in any::<u64>(),
        n in 0i64..9,
    ) {
        let kernel = random::kernel(&choices);
        assert_agree(&kernel, &random::arguments(seed), &[n], random::TASKS, pool());
    }

    #[test]
    fn tidying_changes_nothing(
        choices in prop::collection::vec(any::<u32>(), 20..400),
        seed in any::<u64>(),
        n in 0i64..9,
    ) {
        let kernel = random::kernel(&choices);
        let tidied = tidy(&kernel);
        verify(&tidied).map_err(|e| TestCaseError::fail(format!("{e}\n{kernel}\n{tidied}")))?;
        let args = random::arguments(seed);
        let (before, after) =
            (interpreted(&kernel, &args, &[n], random::TASKS), interpreted(&tidied, &args, &[n], random::TASKS));
        assert_same(&kernel, &before, &after);
    }

    #[test]
    fn text_reads_back(choices in prop::collection::vec(any::<u32>(), 20..400)) {
        let kernel = random::kernel(&choices);
        let text = kernel.to_string();
        let back = parse(&text).unwrap();
        // NaN constants are not equal to themselves: compare the texts, which hold everything.
        prop_assert_eq!(back.to_string(), text);
        prop_assert_eq!(back.values, kernel.values);
    }
}

/// The generator is only worth something if its kernels contain everything, in and out of loops.
#[test]
fn random_kernels_contain_every_operation() {
    let mut state = 1u32;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..600 {
        let choices: Vec<u32> = (0..400)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 8
            })
            .collect();
        seen.extend(random::census(&random::kernel(&choices)));
    }
    use weft_ir::loops::{Binary, Compare, Reduction, Unary};
    let names = Unary::ALL.iter().map(|o| o.name().to_owned());
    let names = names.chain(Binary::ALL.iter().map(|o| o.name().to_owned()));
    let names = names.chain(Compare::ALL.iter().map(|o| o.name().to_owned()));
    let names = names.chain(["fma", "select", "convert", "bitcast", "call"].map(str::to_owned));
    let mut wanted: Vec<String> = names.flat_map(|n| [format!("scalar {n}"), format!("vector {n}")]).collect();
    wanted.extend(Reduction::ALL.iter().map(|o| format!("scalar reduce_{}", o.name())));
    wanted.extend(
        ["vector splat", "vector iota", "scalar extract", "vector insert", "vector shuffle"].map(str::to_owned),
    );
    wanted.extend(["vector load_block", "store_block", "for", "for unroll", "if", "while"].map(str::to_owned));
    for access in ["vector load", "store"] {
        wanted.extend(["", " by", " at", " where", " by where", " at where"].map(|d| format!("{access}{d}")));
    }
    let missing: Vec<&String> = wanted.iter().filter(|w| !seen.contains(*w)).collect();
    assert!(missing.is_empty(), "never generated: {missing:?}\ngenerated: {seen:?}");
}
