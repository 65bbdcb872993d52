"""The scales smoke, mini, small and paper: collection, model size and hyper-parameters (Tables 11 and 13)."""
