"""The workbench: knobs, live view, charts, command line. It stands on `mixvae`; `mixvae` knows nothing of it."""
