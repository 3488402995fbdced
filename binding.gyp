{
  "targets": [
    {
      "target_name": "facellm",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt", "scripts/install/build.mjs"],
          "outputs": ["build/Release/facellm.node"],
          "action": ["node", "scripts/install/build.mjs"]
        }
      ]
    }
  ]
}
