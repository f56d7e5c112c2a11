import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

import { defineConfig, Plugin } from 'vitest/config';

/** JupyterLab's packages import their icons as text. */
const svg: Plugin = {
  name: 'svg-as-text',
  enforce: 'pre',
  async load(id) {
    const [path] = id.split('?');
    if (!path.endsWith('.svg')) {
      return null;
    }
    return `export default ${JSON.stringify(await readFile(path, 'utf-8'))};`;
  }
};

export default defineConfig({
  plugins: [svg],
  test: {
    environment: 'jsdom',
    include: ['src/**/__tests__/*.spec.{ts,tsx}'],
    setupFiles: ['./vitest.setup.ts'],
    css: false,
    provide: { schemas: readdirSync(new URL('schema', import.meta.url)) },
    restoreMocks: true,
    unstubGlobals: true,
    // Their ES modules leave out file endings and import styles: node alone cannot load them.
    server: {
      deps: { inline: [/@jupyterlab\//, /@lumino\//, /@jupyter\//, /@rjsf\//, /@microsoft\/fast/] }
    }
  }
});
