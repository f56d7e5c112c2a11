"""What starts kernels: the provisioner and the papermill engine, where Jupyter or the service runs."""
