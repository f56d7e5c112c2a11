import { beforeEach, describe, expect, it } from 'vitest';

import { prepareMlflow } from '../preferences';

describe('prepareMlflow', () => {
  beforeEach(() => localStorage.clear());

  it('closes the assistant and the telemetry, and follows the theme', () => {
    prepareMlflow(localStorage, true);
    expect(localStorage.getItem('mlflow.assistant.panelOpen_v1')).toBe('false');
    expect(localStorage.getItem('mlflow.settings.telemetry.enabled_v1')).toBe('false');
    expect(localStorage.getItem('_mlflow_dark_mode_toggle_enabled')).toBe('true');
    prepareMlflow(localStorage, false);
    expect(localStorage.getItem('_mlflow_dark_mode_toggle_enabled')).toBe('false');
  });

  it('leaves what the user chose', () => {
    localStorage.setItem('mlflow.assistant.panelOpen_v1', 'true');
    prepareMlflow(localStorage, false);
    expect(localStorage.getItem('mlflow.assistant.panelOpen_v1')).toBe('true');
  });

  it('does without a store', () => {
    const broken = {
      getItem: () => null,
      setItem: () => {
        throw new DOMException('full', 'QuotaExceededError');
      }
    };
    expect(() => prepareMlflow(broken, false)).not.toThrow();
  });
});
