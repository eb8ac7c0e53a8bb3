//! What compiled Weft code needs while it runs: buffers, worker threads.
