"""The operator's command line: parse, call, render. The domain lives in `des_core`."""
