import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import reactHooks from 'eslint-plugin-react-hooks';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const [plugins, schemas] = jupyter.configs.recommended;

/** A finding is a finding: warnings would scroll by. */
function asErrors(rules) {
  return Object.fromEntries(Object.keys(rules).map(name => [name, 'error']));
}

export default defineConfig([
  globalIgnores([
    'lib',
    'dist',
    'node_modules',
    'src/api/schema.ts',
    '*.config.*',
    'vitest.setup.ts'
  ]),
  {
    files: ['src/**/*.{ts,tsx}'],
    extends: [js.configs.recommended, tseslint.configs.recommendedTypeChecked],
    plugins: { jupyter, 'react-hooks': reactHooks },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname }
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      ...asErrors(plugins.rules),
      ...asErrors(reactHooks.configs.flat.recommended.rules),
      'no-console': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      curly: ['error', 'all'],
      'no-restricted-globals': [
        'error',
        {
          name: 'fetch',
          message: 'ServerConnection.makeRequest knows the base URL, the token and the cookie.'
        }
      ],
      '@typescript-eslint/consistent-type-definitions': ['error', 'interface'],
      '@typescript-eslint/no-namespace': ['error', { allowDeclarations: true }],
      '@typescript-eslint/no-unused-vars': ['error', { args: 'none' }],
      // Callbacks of signals and buttons may be async; what they throw is theirs to show.
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/no-base-to-string': 'off', // arguments of commands are any JSON
      '@typescript-eslint/require-await': 'off', // async is the short way to a promise, and to a rejected one
      '@typescript-eslint/unbound-method': ['error', { ignoreStatic: true }],
      // What an activation needs at once. Everything else is imported when it is used.
      'jupyter/prefer-lazy-imports': [
        'error',
        { ignoreImports: ['./commands', './himalia', './parts', './statusItem', './sidebar'] }
      ]
    }
  },
  {
    files: ['src/commands.ts'],
    rules: { '@typescript-eslint/no-namespace': 'off' } // JupyterLab's own way to name commands
  },
  {
    files: ['src/**/__tests__/**'],
    rules: {
      'jupyter/no-untranslated-string': 'off',
      'jupyter/prefer-lazy-imports': 'off',
      'jupyter/require-disposable-ownership': 'off',
      'jupyter/require-disposable-transfer': 'off',
      '@typescript-eslint/unbound-method': 'off'
    }
  },
  {
    files: ['schema/*.json'],
    plugins: { jupyter },
    languageOptions: schemas.languageOptions,
    rules: asErrors(schemas.rules)
  }
]);
