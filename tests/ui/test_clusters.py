"""A cluster from its start to its end, with Dask's own dashboard in a tab."""

from __future__ import annotations

from distributed import Client
from distributed.security import Security
from playwright.sync_api import expect

from tests.ui.conftest import Desk
from tests.ui.page import LabPage

SMUGGLED = "<img src=x onerror='window.smuggled=1'><iframe srcdoc='<script>parent.smuggled=1</script>'></iframe>"


def raise_in_a_task(desk: Desk, text: str) -> None:
    """Have a task fail with *text* as its message: Dask's pages show it as it is."""
    found = desk.lab.get("/projects/tiny/clusters/local/connection")
    files = {name: desk.lab.root / f"{name}.pem" for name in ("ca", "cert", "key")}
    for name, file in files.items():
        file.write_text(found[f"{name}_pem"])
    security = Security(
        tls_ca_file=str(files["ca"]),
        tls_client_cert=str(files["cert"]),
        tls_client_key=str(files["key"]),
        require_encryption=True,
    )

    def fail() -> None:
        raise ValueError(text)

    with Client(found["address"], security=security) as client:
        assert client.submit(fail).exception() is not None


def test_start_look_scale_stop(page: LabPage, desk: Desk) -> None:
    page.project("tiny")
    clusters = page.section("Clusters")
    clusters.get_by_role("button", name="Start the cluster local").click()
    row = clusters.get_by_role("listitem").filter(has_text="local")
    expect(row).to_contain_text("2 workers", timeout=90_000)

    row.get_by_role("button", name="Dashboard of local").click()
    expect(page.tab("Dask: local")).to_be_visible()
    frame = page.page.frame_locator("iframe[title='Dask dashboard of the cluster local']")
    expect(frame.locator(".bk-Figure, .bk-Plot, canvas").first).to_be_visible(timeout=60_000)
    live = page.until(
        lambda: [socket for socket in page.open_sockets("/dashboard/tiny/local/") if socket.url], 20, "Bokeh's socket"
    )
    assert all(desk.jupyter.base_url in socket.url for socket in live)
    page.look("dask-dashboard", ".jp-Himalia-sidebar", ".jp-Himalia-frameBar")
    page.page.get_by_role("group", name="Page").get_by_role("button", name="Workers").click()
    expect(frame.get_by_text("worker-0").first).to_be_visible(timeout=30_000)

    page.page.get_by_role("group", name="Page").get_by_role("button", name="Status").click()
    raise_in_a_task(desk, SMUGGLED)
    other = page.context.new_page()
    page.tolerate(r"Content Security Policy|violates")
    other.goto(f"{desk.jupyter.url}himalia/dashboard/tiny/local/individual-exceptions")
    expect(other.locator(".bk-DataTable, .slick-row, canvas").first).to_be_visible(timeout=30_000)
    expect(other.get_by_text("ValueError").first).to_be_visible(timeout=30_000)
    assert other.evaluate("[window.smuggled, window.parent.smuggled]") == [None, None]
    other.close()

    row.get_by_role("button", name="Scale local").click()
    page.dialog().get_by_role("spinbutton").fill("1")
    page.dialog().get_by_role("button", name="Scale").click()
    expect(row).to_contain_text("1 worker ", timeout=60_000)

    row.get_by_role("button", name="Stop local").click()
    expect(page.dialog()).to_contain_text("local")
    page.dialog().get_by_role("button", name="Stop").click()
    expect(clusters.get_by_role("button", name="Start the cluster local")).to_be_visible(timeout=60_000)
    expect(page.page.get_by_text("The cluster local does not run.")).to_be_visible()
    assert desk.lab.get("/projects/tiny/clusters")["items"] == []
