"""Imported by the zygote of stages' runners: all that a runner would import, and compile, by itself.

Nothing here may start a thread or open a socket, or the zygote does not fork.
"""

from __future__ import annotations

import IPython  # the list of kernels asks it for a folder of its own
import jupyter_client.blocking
import jupyter_client.kernelspec
import jupyter_client.manager
import jupyter_client.provisioning.local_provisioner
import nbclient
import nbformat
import papermill
import papermill.execute
import papermill.iorw
import papermill.parameterize
import psutil
from jupyter_client.provisioning.factory import KernelProvisionerFactory

import himalia_kernels.engine
import himalia_kernels.provisioner
import himalia_kernels.stage

# what is installed is looked through once; a zygote ends when that changes
KernelProvisionerFactory.instance()
# the JSON schema of notebooks is compiled with the first one
nbformat.validate(nbformat.v4.new_notebook())
himalia_kernels.engine.HimaliaEngine  # noqa: B018 (it is made when it is asked for)

__all__ = ["IPython", "himalia_kernels", "jupyter_client", "nbclient", "papermill", "psutil"]
