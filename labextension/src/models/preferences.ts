/** What MLflow's pages keep in the browser, as far as Himalia has an opinion. */
const FIRST_CHOICES: Readonly<Record<string, string>> = {
  // training runs rather than language models
  'mlflow.workflowType_v1': '"machine_learning"',
  // the assistant is closed here, and would open itself beside the first page
  'mlflow.assistant.fab.autoOpenedOnFirstLoad_v1': 'true',
  'mlflow.assistant.panelOpen_v1': 'false',
  // nothing is told to anybody outside
  'mlflow.settings.telemetry.enabled_v1': 'false',
  'mlflow.telemetry.info.alert.dismissed_v1': 'true'
};

/** Where MLflow keeps whether it is dark. */
const DARK = '_mlflow_dark_mode_toggle_enabled';

/**
 * Set up MLflow's pages before they are loaded: what the user has chosen there stays; the theme is JupyterLab's.
 *
 * @param dark - whether JupyterLab's theme is a dark one
 */
export function prepareMlflow(storage: Pick<Storage, 'getItem' | 'setItem'>, dark: boolean): void {
  try {
    for (const [key, value] of Object.entries(FIRST_CHOICES)) {
      if (storage.getItem(key) === null) {
        storage.setItem(key, value);
      }
    }
    storage.setItem(DARK, String(dark));
  } catch {
    // a browser that keeps nothing: MLflow then looks as it does by itself
  }
}
