"""What the pages need behind the stage: choices, weights, engines, recordings. No engine logic."""
