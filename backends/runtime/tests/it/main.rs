//! Tests of memory and of threads that need no compiler.

use weft_runtime::{Buffer, BufferId, Memory, Pool, Region, RuntimeError};

#[test]
fn buffers_start_on_a_cache_line_and_are_zero() {
    for bytes in [0, 1, 63, 64, 65, 1000] {
        let buffer = Buffer::zeroed(bytes).unwrap();
        assert_eq!(buffer.len(), bytes);
        assert_eq!(buffer.is_empty(), bytes == 0);
        assert!(buffer.bytes().iter().all(|&b| b == 0));
        assert_eq!(buffer.bytes().as_ptr().align_offset(64), 0);
    }
    assert_eq!(Buffer::copy_of(&[1.0f32, 2.0]).unwrap().bytes()[..4], 1.0f32.to_le_bytes());
}

#[test]
fn impossible_sizes_are_errors() {
    for bytes in [usize::MAX, usize::MAX / 2, 1 << 62] {
        assert!(matches!(Buffer::zeroed(bytes), Err(RuntimeError::OutOfMemory { .. })));
    }
}

#[test]
fn regions_are_read_and_written() {
    let lent = [1.0f32, 2.0, 3.0, 4.0];
    let mut changed = [0i64; 3];
    let mut memory = Memory::new();
    let (a, b) = (memory.lend(&lent), memory.lend_mut(&mut changed));
    let c = memory.own(Buffer::zeroed(16).unwrap());
    let middle = Region { buffer: a, offset: 4, bytes: 8 };
    assert_eq!(memory.read::<f32>(middle).unwrap(), [2.0, 3.0]);
    memory.write::<i64>(memory.whole(b)).unwrap()[1] = 7;
    memory.write::<f32>(memory.whole(c)).unwrap().copy_from_slice(&lent);
    assert_eq!(memory.read::<f32>(memory.whole(c)).unwrap(), lent);
    drop(memory);
    assert_eq!(changed, [0, 7, 0]);
}

#[test]
fn bad_regions_are_refused() {
    let lent = [1.0f32; 4];
    let mut memory = Memory::new();
    let a = memory.lend(&lent);
    let region = |offset, bytes| Region { buffer: a, offset, bytes };
    assert!(matches!(memory.read::<f32>(region(8, 12)), Err(RuntimeError::Region { .. })));
    assert!(matches!(memory.read::<f32>(region(usize::MAX, 2)), Err(RuntimeError::Region { .. })));
    assert!(matches!(memory.read::<f32>(region(0, 6)), Err(RuntimeError::View { .. })));
    assert!(matches!(memory.read::<f32>(region(2, 4)), Err(RuntimeError::View { .. })));
    assert!(matches!(memory.write::<f32>(region(0, 4)), Err(RuntimeError::ReadOnly(0))));
    let none = Region { buffer: BufferId(9), offset: 0, bytes: 0 };
    assert!(matches!(memory.read::<f32>(none), Err(RuntimeError::Region { .. })));
    assert_eq!(memory.whole(BufferId(9)).bytes, 0);
}

#[test]
fn overlap_is_a_shared_byte() {
    let region = |buffer, offset, bytes| Region { buffer: BufferId(buffer), offset, bytes };
    assert!(region(0, 0, 8).overlaps(&region(0, 7, 1)));
    assert!(!region(0, 0, 8).overlaps(&region(0, 8, 1)));
    assert!(!region(0, 0, 8).overlaps(&region(1, 0, 8)));
    assert!(!region(0, 0, 8).overlaps(&region(0, 4, 0)));
}

#[test]
fn pools_start_and_stop() {
    for threads in [1, 2, 5] {
        let pool = Pool::new(threads).unwrap();
        assert_eq!(pool.threads(), threads);
        pool.reserve(1 << 16).unwrap();
    }
}
